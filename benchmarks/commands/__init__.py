"""The commands of `python -m benchmarks`, a module each: `add_arguments(parser)` and `run`."""
