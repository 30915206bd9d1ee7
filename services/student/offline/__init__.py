"""The student on transformers: for machines that have torch but no vLLM."""
