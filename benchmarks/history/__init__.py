"""How metrics went on over stored sessions: their levels, and the points at which these change.

Pure: sessions in, change points out. No torch.
"""
