"""Tests of benchmarks/config/."""
