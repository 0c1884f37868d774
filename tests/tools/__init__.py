"""Programs that measure the suite: on a GPU, over hours, or by simulation. No tests."""
