"""Tests of benchmarks/sharing/."""
