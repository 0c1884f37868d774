"""Tests of benchmarks/page/."""
