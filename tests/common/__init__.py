"""Tests of benchmarks/common/."""
