"""Several processes at once, each with its own copy of the model, on all visible GPUs in turn.

`launch.Fleet` starts them by torch's launcher; `worker` is the process of one of them.
"""
