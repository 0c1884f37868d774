"""Tests of the peaks of memory, and of what holds them."""
