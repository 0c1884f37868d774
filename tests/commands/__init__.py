"""Tests of benchmarks/commands/."""
