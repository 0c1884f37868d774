"""Tests of benchmarks/export/."""
