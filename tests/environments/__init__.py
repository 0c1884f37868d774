"""Tests of benchmarks/environments/."""
