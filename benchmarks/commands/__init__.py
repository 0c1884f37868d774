"""The commands of `python -m benchmarks`: arguments in, an exit status out.

Their doors are `add_arguments` and `run` of each, and `measuring` is what some have in common.
"""
