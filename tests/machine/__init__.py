"""Tests of benchmarks/machine/."""
