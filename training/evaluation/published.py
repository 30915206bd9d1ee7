"""The paper's numbers, as context beside ours; accuracy in percent.

Source: NesyCD (Liao et al., AAAI 2025), its table of results; what is marked so, the sister
paper SKIntern or second-hand. Same baselines differ by points between the two papers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

RESULTS: Final[Mapping[str, Mapping[str, float]]] = {
    "GPT-3.5-turbo (teacher, zero-shot CoT)": {
        "bbh": 43.2,
        "gsm8k": 72.6,
        "agieval": 50.5,
        "arc_easy": 91.8,
        "arc_challenge": 84.1,
    },
    "TinyLLaMA-1.1B zero-shot CoT": {
        "bbh": 13.5,
        "gsm8k": 1.4,
        "agieval": 10.4,
        "arc_easy": 16.0,
        "arc_challenge": 13.4,
    },
    "TinyLLaMA-1.1B Std-CoT": {
        "bbh": 47.8,
        "gsm8k": 7.9,
        "agieval": 21.5,
        "arc_easy": 28.2,
        "arc_challenge": 25.0,
    },
    "TinyLLaMA-1.1B NesyCD": {
        "bbh": 66.3,
        "gsm8k": 11.8,
        "agieval": 23.1,
        "arc_easy": 36.2,
        "arc_challenge": 29.0,
    },
    "Qwen2-0.5B Std-CoT (SKIntern)": {
        "bbh": 65.8,
        "gsm8k": 26.7,
        "agieval": 25.6,
        "arc_easy": 43.6,
        "arc_challenge": 32.0,
    },
    "Qwen2-0.5B NesyCD (second-hand)": {"bbh": 68.7, "gsm8k": 32.2},
    "LLaMA2-7B Std-CoT": {
        "bbh": 58.1,
        "gsm8k": 20.5,
        "agieval": 23.6,
        "arc_easy": 73.4,
        "arc_challenge": 55.9,
    },
    "LLaMA2-7B NesyCD": {
        "bbh": 75.5,
        "gsm8k": 32.4,
        "agieval": 33.6,
        "arc_easy": 77.5,
        "arc_challenge": 60.8,
    },
}
"""By system, by profile."""

BBH_ABLATIONS: Final[Mapping[str, float]] = {
    "nesycd-adaptive": 75.5,
    "nesycd-without-summary": 68.5,
    "nesycd-without-supplement": 68.9,
    "std-cot-knowledge": 61.2,
    "nesycd-m2": 72.4,
    "nesycd-m3": 73.3,
    "nesycd-lexical": 75.6,
}
"""LLaMA2-7B on BBH, by the system here that comes closest."""
