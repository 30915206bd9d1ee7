from __future__ import annotations

import pytest

from services.common.errors import InvalidRequestError
from services.student.protocol import AdapterInfo, Sampling


@pytest.mark.parametrize("limit", [0, -1])
def test_a_token_limit_below_one_is_refused(limit: int) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        Sampling(limit)
    assert caught.value.message == f"max_new_tokens: is {limit}, must be at least 1"


@pytest.mark.parametrize("stop", ["", "\ud800"])
def test_a_stop_string_that_is_no_text_is_refused(stop: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        Sampling(1, stop=("fine", stop))
    assert caught.value.message == f"stop: {stop!r} is empty or not text"


@pytest.mark.parametrize("stop", ["\n", "\x00", "日本", "🙂"])
def test_any_other_text_may_stop(stop: str) -> None:
    assert Sampling(1, stop=(stop,)).stop == (stop,)


def test_an_adapter_reference_is_exact() -> None:
    assert AdapterInfo("maths", "v1", 8, loaded=False).ref == "maths@v1"
