"""One self-contained HTML page of sessions: what was measured, compared, and how it went on."""
