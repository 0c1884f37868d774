"""Which code a side of a duet runs: overlays, what is imported, candidates of a bisection.

Its doors are `overlay.Overlays` and `candidates.releases`.
"""
