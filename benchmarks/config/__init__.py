"""What is asked for: options, settings, quantizations and the workload.

Its doors are `settings.build_settings` and `workload.build_workload`.
"""
