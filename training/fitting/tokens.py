"""Examples as token ids: the prompt as serving reads it, the completion, and the end.

Prompt and completion are tokenized apart, since the student continues the prompt's own tokens:
so the ids of the prompt alone are always the first ids of its row.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tokenizers import Tokenizer
from transformers import AutoTokenizer

from services.common.errors import ConfigurationError
from training.rows import Example, Task


@dataclass(frozen=True, slots=True)
class TokenRow:
    """One example.

    Attributes:
        ids: of prompt, completion and the end-of-text token.
        response_at: place of the completion's first token; the loss is on it and all after it.
        weight: of the row's loss.
        task: that the loss is logged under.
    """

    ids: tuple[int, ...]
    response_at: int
    weight: float
    task: Task

    @property
    def response_tokens(self) -> int:
        """How many tokens the loss is on."""
        return len(self.ids) - self.response_at

    def as_filler(self) -> TokenRow:
        """A row of the same length that counts for nothing."""
        return replace(self, weight=0.0)


@dataclass(frozen=True, slots=True)
class Tokenized:
    """The rows to fit on, and how many were left out.

    Attributes:
        rows: to fit on.
        too_long: examples longer than the limit; none is ever cut.
        weightless: examples of weight 0.
    """

    rows: list[TokenRow]
    too_long: int
    weightless: int

    @property
    def counts(self) -> dict[Task, int]:
        """Rows by task, in the order of the paper's names."""
        return dict(sorted(Counter(row.task for row in self.rows).items()))

    def weight_per_row(self, loss_reduction: str) -> float:
        """Mean over the rows of what a row counts; see `loss`."""
        each = (
            row.weight * (row.response_tokens if loss_reduction == "token" else 1)
            for row in self.rows
        )
        return sum(each) / len(self.rows)


def load_tokenizer(model: str) -> tuple[Tokenizer, int]:
    """A model's tokenizer, with nothing cut or padded, and its end-of-text token.

    Raises: ConfigurationError when it has no such token, or is not of the tokenizers library,
        which the service asks for as well.
    """
    try:
        loaded = AutoTokenizer.from_pretrained(model)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"the tokenizer of {model} does not load: {error}") from error
    tokenizer = getattr(loaded, "backend_tokenizer", None)
    if tokenizer is None:
        raise ConfigurationError(f"the tokenizer of {model} is not of the tokenizers library")
    if loaded.eos_token_id is None:
        raise ConfigurationError(
            f"the tokenizer of {model} has no end-of-text token, so nothing fitted would stop"
        )
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer, int(loaded.eos_token_id)


def tokenize(
    examples: Sequence[Example], tokenizer: Tokenizer, *, end_id: int, max_tokens: int
) -> Tokenized:
    """Turns examples into rows. `max_tokens` counts prompt, completion and end."""
    weighty = [example for example in examples if example.weight > 0]
    # As both engines of services/student do: with the tokenizer's own special tokens.
    prompts = tokenizer.encode_batch([example.prompt for example in weighty])
    completions = tokenizer.encode_batch(
        [example.completion for example in weighty], add_special_tokens=False
    )
    rows = [
        TokenRow((*prompt.ids, *completion.ids, end_id), len(prompt.ids), row.weight, row.task)
        for row, prompt, completion in zip(weighty, prompts, completions, strict=True)
    ]
    kept = [row for row in rows if len(row.ids) <= max_tokens]
    return Tokenized(kept, too_long=len(rows) - len(kept), weightless=len(examples) - len(weighty))
