"""Words and tools that every package needs, and that need none of ours.

All of it may be imported, most of all `errors`, `exit_status`, `quantity`, `text` and `files`.
"""
