"""The student model: vLLM engine, adapters, a scripted fake."""
