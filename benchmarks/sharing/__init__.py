"""Baselines on a git branch, shared by runners and people; old ones are thinned and set aside.

Its door is `branch.Branch`.
"""
