"""What is stored, read back, compared at all, and kept as baselines, all without torch.

Its doors are `session.read_session`, `storage.save`, `baseline.baselines` and `outcome.Verdict`.
"""
