"""Sessions in, verdicts out: pure, and without torch.

Its doors are `judgement.judge`, `acknowledged.read` and `promotion.promote`.
"""
