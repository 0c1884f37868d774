"""Where it runs, and whether it held still: device, host, GPU, clock, readings, bounds.

Its doors are `device.resolve`, `watch.Watch`, `validity.judge` and the one `clock` of all rounds.
"""
