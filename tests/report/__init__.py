"""Tests of benchmarks/report/."""
