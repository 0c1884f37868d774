"""Tests of benchmarks/replicas/."""
