"""An endpoint inside the test process: a function from request body to reply, over httpx2."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
from pydantic import SecretStr

from training.config import EndpointTeacher
from training.teachers.endpoint import ChatEndpoint
from training.teachers.ledger import LEDGER, Ledger

KEY = "sk-very-secret-1"
URL = "http://teacher.test/v1"

Answer = Callable[[dict[str, Any]], httpx2.Response]


def completion(
    text: str | None = "So the answer is 3.",
    *,
    usage: tuple[int, int] | None = (10, 5),
    finish_reason: str = "stop",
) -> httpx2.Response:
    body: dict[str, Any] = {
        "id": "c",
        "object": "chat.completion",
        "created": 1,
        "model": "mentor-7b",
        "choices": [
            {
                "index": 0,
                "finish_reason": finish_reason,
                "message": {"role": "assistant", "content": text},
            }
        ],
    }
    if usage:
        read, written = usage
        body["usage"] = {
            "prompt_tokens": read,
            "completion_tokens": written,
            "total_tokens": read + written,
        }
    # As endpoints write it: escaped, so that a reply may hold half of a surrogate pair.
    return httpx2.Response(
        200, content=json.dumps(body), headers={"content-type": "application/json"}
    )


def refusal(status: int, message: str = "no", **fields: str) -> httpx2.Response:
    """An error as OpenAI words it; the client is told to come back at once."""
    return httpx2.Response(
        status,
        json={"error": {"message": message, **fields}},
        headers={"retry-after-ms": "1"},
    )


class Endpoint:
    """Answers requests and remembers them."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.requests: list[httpx2.Request] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        return self._answer(json.loads(request.content))

    def teacher(self, folder: Path, **changes: Any) -> ChatEndpoint:
        values = {"kind": "endpoint", "base_url": URL, "model": "mentor", "retries": 0}
        spec = EndpointTeacher.model_validate(values | changes)
        return ChatEndpoint(
            spec,
            key=SecretStr(KEY),
            ledger=Ledger(folder / LEDGER, cap_usd=spec.budget_usd),
            http_client=httpx2.AsyncClient(transport=httpx2.MockTransport(self)),
        )
