"""Generation modes: the caches that they decode with, the decode step compiled, and what is seen.

Its doors are `caches.build`, `compiling.DecodeStep`, `possible.check` and `attested.attest`.
"""
