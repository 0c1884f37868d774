"""Rounds in, metrics out, and what is stored of them as extra_info.

Its doors are `rounds.Measurement`, `metrics.generation_metrics` and `extra_info.extra_info`.
"""
