"""What pytest's hooks and fixtures do: a session's state, its gate, its file, its end.

Its doors are the modules that both conftest.py import, and nothing else imports them.
"""
