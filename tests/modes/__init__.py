"""Generation modes: what each does, how that is known, and which are refused."""
