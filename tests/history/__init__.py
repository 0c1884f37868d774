"""Tests of benchmarks.history."""
