"""Whether it was the right work with the right output: counters, profiles, agreement.

Its doors are `gathering.Evidence` and the profiles of `profiling`.
"""
