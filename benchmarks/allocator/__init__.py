"""What holds the memory at its peak: the allocator's history of one untimed generation, replayed.

Its door is `peaks.measure`.
"""
