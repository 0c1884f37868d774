"""Tests of benchmarks/model/."""
