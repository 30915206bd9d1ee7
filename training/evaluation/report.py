"""report.md: the results for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from training.evaluation.published import BBH_ABLATIONS, RESULTS
from training.evaluation.results import Benchmark, Results
from training.evaluation.score import Macro, Score, Share
from training.evaluation.systems import SYSTEMS

ACCURACY_PLOT = "accuracy.png"
TASKS_PLOT = "tasks.png"


def report(results: Results) -> str:
    """The report as Markdown; always the same for the same results."""
    return "\n".join(_lines(results)) + "\n"


def _lines(results: Results) -> Iterator[str]:
    yield "# Evaluation"
    yield ""
    yield (
        f"Student: {results.student}; greedy, zero-shot, at most {results.max_new_tokens} new "
        "tokens, through the pipeline that serves. Accuracy in percent with its 95 % interval: "
        "Wilson's over the questions (micro), Zou and Donner's over the tasks (macro). A text "
        "without an answer is wrong; unparsed and degenerate texts are counted apart as well."
    )
    yield ""
    yield f"Gate: threshold {results.threshold:.3f}; {results.calibration}."
    yield ""
    yield f"![Accuracy by system]({ACCURACY_PLOT})"
    for benchmark in results.benchmarks:
        yield ""
        yield from _benchmark(benchmark, results.no_harness)
    yield ""
    yield "## Systems"
    yield ""
    names = dict.fromkeys(name for one in results.benchmarks for name in one.systems)
    for name in names:
        yield f"- **{name}**: {SYSTEMS[name].about}"


def _benchmark(benchmark: Benchmark, no_harness: str) -> Iterator[str]:
    n = max(one.micro.n for one in benchmark.systems.values())
    yield f"## {benchmark.dataset} ({n} questions)"
    yield ""
    if benchmark.remark:
        yield f"> {benchmark.remark}"
        yield ""
    yield from _systems(benchmark)
    yield from _gate(benchmark)
    yield from _comparisons(benchmark)
    yield from _tasks(benchmark)
    yield from _harness(benchmark, no_harness)
    yield from _paper(benchmark)


def _systems(benchmark: Benchmark) -> Iterator[str]:
    yield from _table(
        (
            "system",
            "right",
            "micro",
            "macro",
            "unparsed",
            "degenerate",
            "tokens written",
            "tokens read",
            "seconds",
        ),
        [
            (
                name,
                f"{one.micro.right} of {one.micro.n}",
                _accuracy(one.micro),
                _accuracy(one.macro),
                str(one.unparsed),
                _reasons(one),
                f"{one.completion_tokens:.0f}",
                f"{one.prompt_tokens:.0f}",
                f"{one.seconds:.2f}",
            )
            for name, one in benchmark.systems.items()
        ],
    )
    yield ""
    yield "Tokens: mean per question, over all passes. Seconds: median, many questions at a time."


def _gate(benchmark: Benchmark) -> Iterator[str]:
    rows = [
        (name, decision.replace("_", " "), _percent(share.n / one.micro.n), _accuracy(share))
        for name, one in benchmark.systems.items()
        if len(one.decisions) > 1 or "direct" in one.decisions
        for decision, share in one.decisions.items()
    ]
    if rows:
        yield from _section("By decision of the gate")
        yield from _table(("system", "decision", "share", "accuracy"), rows)


def _comparisons(benchmark: Benchmark) -> Iterator[str]:
    if not benchmark.comparisons:
        return
    yield from _section("Compared question by question")
    yield from _table(
        ("system", "against", "gain in points", "gained", "lost", "p"),
        [
            (
                one.system,
                one.against,
                f"{100 * one.gain:+.1f} ({100 * one.low:+.1f} to {100 * one.high:+.1f})",
                str(one.gained),
                str(one.lost),
                f"{one.p:.3f}" if one.p >= 0.001 else "< 0.001",  # noqa: PLR2004
            )
            for one in benchmark.comparisons
        ],
    )
    yield ""
    yield "p: exact McNemar test, two-sided, not corrected for the number of comparisons."


def _tasks(benchmark: Benchmark) -> Iterator[str]:
    if not benchmark.has_tasks:
        return
    yield from _section("By task")
    systems = benchmark.systems.values()
    yield from _table(
        ("task", "n", *benchmark.systems),
        [
            (
                task,
                str(next(iter(systems)).tasks[task].n),
                *(_accuracy(one.tasks[task], digits=0) for one in systems),
            )
            for task in benchmark.tasks
        ],
    )
    yield ""
    yield f"![Accuracy by task]({benchmark.dataset}-{TASKS_PLOT})"


def _harness(benchmark: Benchmark, no_harness: str) -> Iterator[str]:
    if not benchmark.harness and not no_harness:
        return
    yield from _section("As lm-evaluation-harness reads the same texts")
    if no_harness:
        yield f"Left out: {no_harness}."
        return
    filters = list(next(iter(benchmark.harness.values())))
    yield from _table(
        ("system", "ours", *filters),
        [
            (
                name,
                _percent(benchmark.systems[name].micro.accuracy),
                *(_percent(shares[one].accuracy) for one in filters),
            )
            for name, shares in benchmark.harness.items()
        ],
    )
    yield ""
    yield (
        "Its gsm8k strict filter wants `#### 18`, which no prompt here asks for; its bbh filter "
        "compares byte by byte and eats a line's last character, so that an answer without a "
        "full stop after it is wrong."
    )


def _paper(benchmark: Benchmark) -> Iterator[str]:
    published = [
        (name, f"{numbers[benchmark.dataset]:.1f}")
        for name, numbers in RESULTS.items()
        if benchmark.dataset in numbers
    ]
    if not published:
        return
    yield from _section("The paper's numbers, for context")
    yield (
        "Other models, other hardware and, here, a part of the test questions: compare the "
        "differences between systems, not the levels."
    )
    yield ""
    yield from _table(("system", "accuracy"), published)
    if benchmark.dataset == "bbh":
        yield ""
        yield "Its ablation with LLaMA2-7B, by the system here that comes closest:"
        yield ""
        yield from _table(
            ("system", "paper", "here"),
            [
                (name, f"{number:.1f}", _percent(benchmark.systems[name].micro.accuracy))
                if name in benchmark.systems
                else (name, f"{number:.1f}", "")
                for name, number in BBH_ABLATIONS.items()
            ],
        )


def _section(title: str) -> Iterator[str]:
    yield ""
    yield f"### {title}"
    yield ""


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield _row(head)
    yield _row(["---"] * len(head))
    for row in rows:
        yield _row(row)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


def _accuracy(share: Share | Macro, *, digits: int = 1) -> str:
    accuracy, low, high = (
        f"{100 * one:.{digits}f}" for one in (share.accuracy, share.low, share.high)
    )
    return f"{accuracy} ({low} to {high})"


def _reasons(one: Score) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in one.degenerate.items()) or "0"
