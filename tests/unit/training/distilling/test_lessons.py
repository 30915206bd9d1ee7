"""Replies of teachers, in all the forms that they come in."""

import contextlib
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from training.distilling.lessons import Lines, RefusedError, read_lines, write_lines

ON_A_BUSY_MACHINE = settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow]
)

PLAIN = """Learning Summary:
- Read the whole question.
- Check each step.
Supplementary Knowledge:
- A square has four sides."""

LINES = Lines(("Read the whole question.", "Check each step."), ("A square has four sides.",))


@pytest.mark.parametrize(
    "text",
    [
        PLAIN,
        PLAIN.upper()
        .replace("- READ THE WHOLE QUESTION.", "- Read the whole question.")
        .replace("- CHECK EACH STEP.", "- Check each step.")
        .replace("- A SQUARE HAS FOUR SIDES.", "- A square has four sides."),
        PLAIN.replace("Learning Summary:", "## Learning Summary"),
        PLAIN.replace("Learning Summary:", "**Learning Summary:**"),
        PLAIN.replace("Learning Summary:", "### 1. **Learning Summary** (general)"),
        PLAIN.replace("Supplementary Knowledge:", "\n---\n\n**2. Supplementary Knowledge**\n"),
        PLAIN.replace("Supplementary Knowledge:", "Supplemental knowledge -"),
        PLAIN.replace("- ", "* "),
        PLAIN.replace("- ", "• "),
        PLAIN.replace("- ", "  1. "),
        PLAIN.replace("- ", "(1) "),
        PLAIN.replace("- ", ""),
        PLAIN.replace("Read the", "**Read** the"),
        PLAIN.replace("Read the whole question.", "Read the\n  whole   question."),
        PLAIN.replace("- Check", "\n- Check"),
        PLAIN.replace("- Read", "Key steps:\n- Read").replace("- Check", "**Checks:**\n- Check"),
        PLAIN.replace("Learning Summary:\n- Read", "Learning Summary: Read"),
        PLAIN.replace("Learning Summary:\n- Read", "**Learning summary**: Read"),
        f"Here is what helps.\n\n{PLAIN}",
        f"{PLAIN}\n\nQuestion: another one\nLearning Summary:\n- Wrong.",
        f"{PLAIN}\nLearning Summary:\n- A second lesson.\nSupplementary Knowledge:\n- More.",
        f"{PLAIN}\n- A square has four sides.",
        PLAIN.replace("\n", "\r\n"),
    ],
)
def test_all_usual_forms_are_read(text):
    assert read_lines(text) == LINES


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", 'form: the section "Learning Summary:" is missing'),
        ("I cannot help with that.", 'form: the section "Learning Summary:" is missing'),
        (
            PLAIN.replace("Supplementary Knowledge", "Other"),
            'form: the section "Supplementary Knowledge:" is missing',
        ),
        (
            "Learning Summary:\nSupplementary Knowledge:\n- x",
            'form: the section "Learning Summary:" is empty',
        ),
        (
            f"{PLAIN}\n" + "\n".join(f"- fact {n}" for n in range(12)),
            'limits: the section "Supplementary Knowledge:" has 13 points, at most six are asked',
        ),
    ],
)
def test_what_is_no_lesson_is_refused_with_a_reason(text, reason):
    with pytest.raises(RefusedError) as caught:
        read_lines(text)
    assert str(caught.value) == reason
    assert reason.endswith(caught.value.reason)


def test_arithmetic_and_code_keep_their_signs():
    text = PLAIN.replace("Check each step.", "2**3 * 4**2 is 128, and -5 < 3. `x_1` is a name.")
    assert read_lines(text).learning_summary[1] == (
        "2**3 * 4**2 is 128, and -5 < 3. `x_1` is a name."
    )


def test_a_point_about_rules_is_no_heading():
    text = PLAIN.replace("- Check", "- Rules: check").replace("- A square", "- Facts: a square")
    found = read_lines(text)
    assert found.learning_summary[1] == "Rules: check each step."
    assert found.rules == ()


def test_rules_and_facts_are_read_where_they_are_asked_for():
    text = f"""{PLAIN}

**Rules:**
- `minutes(M) :- quantity(H, hour), M = H * 60.`

Facts:
1. Paris | is capital of | France
2. nonsense
3. Paris | is capital of | France"""
    found = read_lines(text, graph=True)
    assert found.rules == ("minutes(M) :- quantity(H, hour), M = H * 60.",)
    assert found.facts == (("Paris", "is_capital_of", "France"), ("nonsense", "", ""))
    assert (found.learning_summary, found.supplementary_knowledge) == (
        LINES.learning_summary,
        LINES.supplementary_knowledge,
    )


@ON_A_BUSY_MACHINE
@given(st.text(max_size=300), st.booleans())
def test_any_text_is_read_or_refused(text, graph):
    with contextlib.suppress(RefusedError):
        read_lines(text, graph=graph)


@ON_A_BUSY_MACHINE
@given(
    st.lists(
        st.sampled_from(
            [*PLAIN.splitlines(), "**", "- ", "1. ", "Rules:", "Facts:", "a | b", "---", "## ", ""]
        ),
        max_size=30,
    )
)
def test_any_mixture_of_lines_is_read_or_refused(lines):
    try:
        found = read_lines("\n".join(lines), graph=True)
    except RefusedError:
        return
    for point in (*found.learning_summary, *found.supplementary_knowledge):
        assert point == point.strip()
        assert point


words = st.lists(st.text("ab1", min_size=1, max_size=4), min_size=1, max_size=6).map(" ".join)
points = st.lists(words.map("The {}.".format), min_size=1, max_size=6, unique=True).map(tuple)
names = st.text("ab", min_size=1, max_size=4)


@ON_A_BUSY_MACHINE
@given(
    points,
    points,
    st.lists(st.tuples(names, names, names), max_size=4, unique=True).map(tuple),
)
def test_what_is_written_is_read_back(summary, knowledge, facts):
    lines = Lines(summary, knowledge, ("old(X) :- age(X, A), A > 80.",), facts)
    assert read_lines(write_lines(lines, graph=True), graph=True) == lines
    assert read_lines(write_lines(lines)) == Lines(summary, knowledge)


@pytest.mark.parametrize("noise", ["-", "*", "# ", " ", "**a", "learning summary ", "(", "- -\n"])
def test_long_noise_takes_no_time(noise):
    started = time.monotonic()
    with pytest.raises(RefusedError):
        read_lines(noise * 20_000)
    assert time.monotonic() - started < 2
