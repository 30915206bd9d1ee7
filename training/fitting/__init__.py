"""Fitting a LoRA adapter on examples: transformers' `Trainer` and PEFT.

Read `fit` first. `spec` says what is fitted, `tokens` and `batches` bring the examples into
order, `loss` is what is brought down, `trainer` does it, `checkpoints` let it go on after a kill,
and `adapter_files` and `card` write what comes out. `python -m training.fitting ORDER.json` is
the same in a process of its own, and under accelerate's launcher in several.

`tokens`, `loss`, `model`, `adapter_files`, `trainer` and `process` import torch, transformers or
PEFT when they are imported; nothing else does.
"""
