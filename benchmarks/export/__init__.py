"""Sessions in the formats that other tools read: one module for each tool.

Its doors are `formats.check` and `formats.write`. What a session measured comes from `measures`.
"""
