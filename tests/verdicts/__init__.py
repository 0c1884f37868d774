"""Tests of benchmarks/verdicts/."""
