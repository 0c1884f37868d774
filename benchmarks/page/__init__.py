"""Sessions as one HTML file, made without torch.

Its doors are `intake.gather` and `render.write`.
"""
