"""Tests of benchmarks/pytest_session/."""
