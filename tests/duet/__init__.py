"""Tests of benchmarks/duet/."""
