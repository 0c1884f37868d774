"""Two environments on one machine: alternating rounds, one verdict.

Its doors are `duet.Duet`, `saved_duets.find`, `bisection.search` and, for each side, `worker`.
"""
