from __future__ import annotations

from pathlib import Path

import pytest

from services.common import prompts
from services.common.errors import ConfigurationError
from services.common.settings import load_settings
from services.student.models import student_folder
from tests.needs import missing
from tests.unit.training.fitting.fits import example
from training.fitting.tokens import Tokenized, load_tokenizer, tokenize
from training.rows import Example

QUESTION = "True and not not ( not False ) is"
ROWS = [
    example("1", prompts.render_ap(QUESTION), " True.", task="AP"),
    example("2", prompts.render_dc(QUESTION), " Let A = 17.\nTherefore, the answer is True."),
    example("3", prompts.render_ad(QUESTION, ["Note: naïve €"]), " Therefore, the answer is (B)."),
]


def rows_of(model: Path | str, examples: list[Example], *, max_tokens: int = 4096) -> Tokenized:
    tokenizer, end_id = load_tokenizer(str(model))
    return tokenize(examples, tokenizer, end_id=end_id, max_tokens=max_tokens)


def test_a_row_is_prompt_completion_and_end(student: Path) -> None:
    tokenizer, end_id = load_tokenizer(str(student))
    (row,) = rows_of(student, [example("1", "ab", " c")]).rows
    assert row.ids == (*tokenizer.encode("ab").ids, *tokenizer.encode(" c").ids, end_id)
    assert (row.response_at, row.response_tokens) == (2, 3)


def test_the_real_students_prompt_is_tokenized_as_serving_does() -> None:
    from transformers import AutoTokenizer

    model = student_folder(load_settings())
    if not model.is_dir():
        missing(f"{model.name} in the cache: run `nesycd setup`")
    served = AutoTokenizer.from_pretrained(model)
    for row, given in zip(rows_of(model, ROWS).rows, ROWS, strict=True):
        # What vLLM's renderer and the transformers student call.
        prompt = served(given.prompt).input_ids
        assert list(row.ids[: row.response_at]) == prompt
        # Cut apart or not: the student writes the very tokens that it was fitted on.
        whole = served(given.prompt + given.completion).input_ids
        assert list(row.ids) == [*whole, served.eos_token_id]


def test_longer_rows_are_left_out_and_counted_never_cut(student: Path) -> None:
    rows = [example("1", "ab", " c"), example("2", "ab", " cd")]
    tokenized = rows_of(student, rows, max_tokens=5)
    assert [len(row.ids) for row in tokenized.rows] == [5]
    assert (tokenized.too_long, tokenized.weightless) == (1, 0)


def test_rows_of_weight_0_are_left_out_and_counted(student: Path) -> None:
    tokenized = rows_of(student, [example("1", "a", " b", weight=0), example("2", "a", " b")])
    assert (len(tokenized.rows), tokenized.weightless) == (1, 1)


def test_a_tokenizer_without_an_end_is_refused(student: Path, tmp_path: Path) -> None:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer.from_file(str(student / "tokenizer.json"))
    PreTrainedTokenizerFast(tokenizer_object=tokenizer).save_pretrained(tmp_path)
    with pytest.raises(ConfigurationError, match="has no end-of-text token"):
        load_tokenizer(str(tmp_path))
