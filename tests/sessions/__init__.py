"""Tests of benchmarks/sessions/."""
