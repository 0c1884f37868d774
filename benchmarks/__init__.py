"""What is measured: warm-up, the profiled one-token generate, and throughput of LLM.int8()."""
