from __future__ import annotations

import asyncio
import json
import traceback
from pathlib import Path
from typing import Any

import httpx2
import pytest

from services.common.errors import ConfigurationError
from tests.unit.training.teachers.endpoint_server import (
    KEY,
    URL,
    Endpoint,
    completion,
    refusal,
)
from tests.unit.training.teachers.teacher_suite import TeacherSuite, asked
from training.teachers.ledger import LEDGER
from training.teachers.protocol import Message, NoReplyError, Prompt, Teacher


class TestChatEndpoint(TeacherSuite):
    @pytest.fixture
    def teacher(self, tmp_path: Path) -> Teacher:
        def answer(body: dict[str, Any]) -> httpx2.Response:
            if body["messages"][0]["content"] == "hopeless":
                return refusal(400, "the prompt is too long")
            return completion("  So the answer is 3.\n")

        return Endpoint(answer).teacher(tmp_path, in_flight=4)

    @pytest.fixture
    def hopeless(self) -> Prompt:
        return asked("hopeless")


async def test_a_request_carries_the_conversation_and_the_key(tmp_path: Path) -> None:
    endpoint = Endpoint(lambda _: completion(usage=(11, 7), finish_reason="length"))
    messages = (Message("system", "a"), Message("user", "b"), Message("assistant", "c"))
    reply = await endpoint.teacher(tmp_path).write(Prompt(messages, 99, temperature=0.8))
    (request,) = endpoint.requests
    assert str(request.url) == f"{URL}/chat/completions"
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert json.loads(request.content) == {
        "model": "mentor",
        "messages": [
            {"role": "system", "content": "a"},
            {"role": "user", "content": "b"},
            {"role": "assistant", "content": "c"},
        ],
        "temperature": 0.8,
        "max_tokens": 99,
    }
    assert (reply.model, reply.finish_reason) == ("mentor-7b", "length")
    assert (reply.prompt_tokens, reply.completion_tokens) == (11, 7)


@pytest.mark.parametrize("status", [408, 429, 500, 503])
async def test_the_client_retries_what_may_pass(tmp_path: Path, status: int) -> None:
    replies = [refusal(status), refusal(status), completion()]
    endpoint = Endpoint(lambda _: replies.pop(0))
    assert (await endpoint.teacher(tmp_path, retries=2).write(asked())).text
    assert len(endpoint.requests) == 3


async def test_retries_are_as_many_as_configured_and_then_the_request_has_failed(
    tmp_path: Path,
) -> None:
    endpoint = Endpoint(lambda _: refusal(503, "overloaded"))
    with pytest.raises(NoReplyError, match=r"status 503: .*overloaded"):
        await endpoint.teacher(tmp_path, retries=3).write(asked())
    assert len(endpoint.requests) == 4


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (refusal(401, f"Incorrect API key provided: {KEY}"), r"status 401.*\[key\].*read from"),
        (refusal(403, "not your model"), "status 403"),
        (refusal(404, "no such model", code="model_not_found"), "status 404.*'mentor'"),
        (refusal(429, "pay", code="insufficient_quota"), "the quota is gone"),
        (refusal(400, "unknown", param="max_tokens"), "status 400"),
    ],
)
async def test_what_meets_every_request_stops_the_work(
    tmp_path: Path, reply: httpx2.Response, said: str
) -> None:
    with pytest.raises(ConfigurationError, match=rf"(?s){URL}: .*{said}") as caught:
        await Endpoint(lambda _: reply).teacher(tmp_path).write(asked())
    assert KEY not in "".join(traceback.format_exception(caught.value))


async def test_an_endpoint_that_cannot_be_reached_stops_the_work(tmp_path: Path) -> None:
    def refuse(_: dict[str, Any]) -> httpx2.Response:
        raise httpx2.ConnectError("connection refused")

    with pytest.raises(ConfigurationError, match="cannot be reached: connection refused"):
        await Endpoint(refuse).teacher(tmp_path).write(asked())


async def test_a_reply_that_does_not_come_is_that_requests_failure(tmp_path: Path) -> None:
    def wait(_: dict[str, Any]) -> httpx2.Response:
        raise httpx2.ReadTimeout("late")

    with pytest.raises(NoReplyError, match=r"no reply within 0\.5 s"):
        await Endpoint(wait).teacher(tmp_path, timeout_s=0.5).write(asked())


@pytest.mark.parametrize(
    "page",
    [
        httpx2.Response(200, text="<html>", headers={"content-type": "text/html"}),
        httpx2.Response(200, text="{", headers={"content-type": "application/json"}),
        httpx2.Response(200, json={"error": "later"}),
        httpx2.Response(200, json={"choices": []}),
    ],
)
async def test_what_is_no_completion_is_that_requests_failure(
    tmp_path: Path, page: httpx2.Response
) -> None:
    with pytest.raises(NoReplyError, match="the reply"):
        await Endpoint(lambda _: page).teacher(tmp_path).write(asked())


async def test_half_a_character_in_a_reply_spoils_no_row(tmp_path: Path) -> None:
    reply = await Endpoint(lambda _: completion("cut: \ud83d")).teacher(tmp_path).write(asked())
    assert reply.text == "cut: \ufffd"


async def test_nothing_but_failures_stops_the_work(tmp_path: Path) -> None:
    teacher = Endpoint(lambda _: refusal(502)).teacher(tmp_path, in_flight=2)
    for _ in range(9):
        with pytest.raises(NoReplyError):
            await teacher.write(asked())
    with pytest.raises(ConfigurationError, match="10 requests in a row failed"):
        await teacher.write(asked())


async def test_a_reply_among_failures_lets_the_work_go_on(tmp_path: Path) -> None:
    replies = [*(refusal(502) for _ in range(9)), completion(), refusal(502)]
    teacher = Endpoint(lambda _: replies.pop(0)).teacher(tmp_path, in_flight=1)
    outcomes = await asyncio.gather(
        *(teacher.write(asked()) for _ in range(11)), return_exceptions=True
    )
    assert [type(one).__name__ for one in outcomes].count("NoReplyError") == 10


async def test_no_more_requests_are_in_flight_than_configured(tmp_path: Path) -> None:
    now = most = 0

    async def answer(_: httpx2.Request) -> httpx2.Response:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.002)
        now -= 1
        return completion()

    endpoint = Endpoint(lambda _: completion())
    teacher = endpoint.teacher(tmp_path, in_flight=3)
    teacher._client._client = httpx2.AsyncClient(transport=httpx2.MockTransport(answer))
    await asyncio.gather(*(teacher.write(asked()) for _ in range(12)))
    assert most == 3


async def test_every_reply_is_paid_for_in_the_ledger(tmp_path: Path) -> None:
    prices = {"usd_per_million_in": 2.0, "usd_per_million_out": 10.0}
    endpoint = Endpoint(lambda _: completion(usage=(1000, 100)))
    await endpoint.teacher(tmp_path, **prices).write(asked(question="q1"))
    line = json.loads((tmp_path / LEDGER).read_text())
    assert line.pop("at")
    assert line == {
        "endpoint": URL,
        "model": "mentor",
        "question": "q1",
        "prompt_tokens": 1000,
        "completion_tokens": 100,
        "usd": pytest.approx(0.003),
        "is_upper_bound": False,
    }
    assert KEY not in (tmp_path / LEDGER).read_text()


async def test_where_the_endpoint_counts_no_tokens_the_most_it_can_be_is_put(
    tmp_path: Path,
) -> None:
    endpoint = Endpoint(lambda _: completion(usage=None))
    reply = await endpoint.teacher(tmp_path, usd_per_million_out=1.0).write(asked(tokens=500))
    line = json.loads((tmp_path / LEDGER).read_text())
    assert (line["usd"], line["is_upper_bound"]) == (pytest.approx(0.0005), True)
    assert (reply.prompt_tokens, reply.completion_tokens) == (0, 0)


async def test_the_budget_holds_over_requests_and_restarts(tmp_path: Path) -> None:
    # Each reply costs $1, and may cost $2 before it is there.
    changes = {"usd_per_million_out": 1e6, "budget_usd": 4.0, "in_flight": 8}
    endpoint = Endpoint(lambda _: completion(usage=(0, 1)))
    prompts = [asked(tokens=2) for _ in range(9)]
    for replies in (3, 0):
        teacher = endpoint.teacher(tmp_path, **changes)
        outcomes = await asyncio.gather(*map(teacher.write, prompts), return_exceptions=True)
        refused = [one for one in outcomes if isinstance(one, ConfigurationError)]
        assert len(refused) == len(prompts) - replies
        assert str(refused[0]).startswith("budget_usd: 4.0 does not cover the next request")
        assert len(endpoint.requests) == 3
    teacher = endpoint.teacher(tmp_path, **{**changes, "budget_usd": 5.0})
    assert (await teacher.write(prompts[0])).text


async def test_the_key_is_shown_nowhere(tmp_path: Path) -> None:
    teacher = Endpoint(lambda _: refusal(400, f"you sent {KEY}")).teacher(tmp_path)
    assert KEY not in repr(vars(teacher))
    with pytest.raises(NoReplyError, match=r"you sent \[key\]") as caught:
        await teacher.write(asked())
    assert KEY not in "".join(traceback.format_exception(caught.value))
