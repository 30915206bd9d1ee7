"""The `nesycd` command. Starts without torch, ray or vllm."""
