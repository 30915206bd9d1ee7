"""README.md of an adapter: what it is and how it came about, for whoever finds the folder."""

from __future__ import annotations

from training.fitting.spec import FitResult, FitSpec

_REDUCTIONS = {
    "token": "mean over response tokens",
    "example": "mean over examples of the mean over their response tokens",
}


def card(spec: FitSpec, result: FitResult, *, examples_sha256: str) -> str:
    """The card as Markdown, with the front matter that the Hugging Face hub reads."""
    fit = spec.fit
    layers = "all" if fit.last_layers is None else f"the last {fit.last_layers}"
    modules = fit.target_modules
    started = "fresh weights" if spec.start_adapter is None else "the adapter fitted before it"
    counts = ", ".join(f"{task} {count}" for task, count in result.examples.items())
    losses = ", ".join(f"{task} {loss:.4f}" for task, loss in result.last_task_losses.items())
    about = f"\n{spec.about}\n" if spec.about else ""
    return f"""---
library_name: peft
base_model: {spec.base_name}
tags: [lora, nesycd]
---

# {spec.name} {spec.version}

A LoRA adapter for {spec.base_name}, fitted by nesycd. Weights are stored as bfloat16.

## Data

{sum(result.examples.values())} examples by training task (AD: with knowledge, AP: answer only,
DC: chain of thought): {counts}. {result.tokens} tokens, {result.response_tokens} of them in
responses, which alone the loss is on. Left out: {result.too_long} longer than {result.max_tokens}
tokens, {result.weightless} of weight 0. sha256 of the file of examples: {examples_sha256}.
{about}
## Hyper-parameters

| | |
|---|---|
| started from | {started} |
| rank, alpha, dropout | {fit.rank}, {fit.alpha}, {fit.dropout} |
| modules, layers | {modules if isinstance(modules, str) else ", ".join(modules)}, {layers} |
| numbers fitted | {result.parameters} |
| epochs, updates | {fit.epochs:g}, {result.steps} |
| examples per update | {fit.batch_size} |
| learning rate | {result.learning_rate:g}, cosine after {fit.warmup_share:.0%} warm-up |
| optimizer | AdamW, no weight decay, gradients clipped to norm 1 |
| loss | cross-entropy, {_REDUCTIONS[fit.loss_reduction]} |
| number format | {result.precision} |
| seed | {spec.seed} |

## Losses

Mean of the first tenth of the updates {result.first_loss:.4f}, of the last tenth
{result.last_loss:.4f} nats; the last tenth by training task, per token: {losses}. All updates
are in losses.jsonl of the fit.

## Licence

The adapter follows from its base model, from the questions and from the text of the teacher: the
licences and terms of all three hold for it.
"""
