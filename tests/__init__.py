"""Tests of the suite itself, in folders as its packages are; builders and fakes beside them."""
