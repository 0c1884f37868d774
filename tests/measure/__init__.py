"""Tests of benchmarks/measure/."""
