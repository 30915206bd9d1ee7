"""Which number format a model computes in on a CPU."""

from __future__ import annotations

from pathlib import Path


def cpu_dtype(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """bfloat16 where the processor multiplies it in hardware; float32 is faster elsewhere."""
    flags = cpuinfo.read_text() if cpuinfo.exists() else ""
    return "bfloat16" if "avx512_bf16" in flags or "amx_bf16" in flags else "float32"
