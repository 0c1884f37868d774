"""How it is measured: loading, generating, timing, profiling and reporting."""
