"""What a person reads as text: tables, verdicts, the end of a session.

Its doors are `summary.Summary`, `verdict_lines.lines`, `conclusion.lines`, `stored_table.lines` and
`columns`, the one table of metrics.
"""
