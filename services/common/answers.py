r"""Reads the answer out of what a student wrote, and compares answers.

One reader for serving, evaluation and training. The published scorer's known failures
(method notes, section 3) are mended here, each held by a test: the last "the answer is"
(or LaTeX \boxed{}) wins, numbers compare by value, choices by letter or else by option
text, and an empty answer, or one that names two, is never right.
"""

from __future__ import annotations

import re
from decimal import Decimal

_CUE = re.compile(
    r"\bthe (?:(?:final|correct|right) )?answer(?: to (?:the|this) (?:question|problem))? is\b"
    r"|(?=\\boxed\s*\{)",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(r"\.(?=[\"'*)\]\u201d\u2019]*(?:\s|$))|[\r\n]")
_WRAPPING = "\"'`*$\u201c\u201d\u2018\u2019"
_MARKUP = (
    (re.compile(r"(?<=\d)(?=\\[dt]?frac)"), " "),
    (re.compile(r"\\[dt]?frac\s*\{([^{}]*)\}\s*\{([^{}]*)\}"), r"\1/\2"),
    (re.compile(r"\\(?:text\w*|math\w+|[mf]?box|boxed)\s*\{([^{}]*)\}"), r"\1"),
    (re.compile(r"\{,\}"), ","),
    (re.compile(r"\\+([$%&#_{}])"), r"\1"),
    (re.compile(r"\\[()\[\],;:!]"), ""),
    (re.compile(r"(?<!\w)\$([^$\s][^$]*)\$(?!\w)"), r"\1"),
    (re.compile(r"\*\*(?!\d)|(?<!\d)\*\*"), ""),
)
_DEEPEST_MARKUP = 8
_UNCLOSED_BOX = re.compile(r"\\boxed\s*\{")

_NUMBER = re.compile(
    r"(?P<minus>(?<![\w.)\]])[-\u2212]\s?)?"
    r"(?:(?P<whole>\d+)\s+(?=\d+\s*/\s*\d))?"
    r"(?P<number>\d{1,3}(?:,\d{3})+(?!\d)(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)"
    r"(?:\s*/\s*(?P<divisor>\d+))?"
)
_ROUNDING = Decimal("1e-9")
_OTHER_NUMBER = re.compile(r"\s*\S*\s*\bor\s+\S*\d")

_GOLD_LETTER = re.compile(r"\(([A-Za-z])\)|([A-Z])")
_OPTION_LINE = re.compile(r"^[ \t]*\(([A-Z])\)[ \t]*(\S.*)$", re.MULTILINE)
_LETTER = re.compile(
    r"(?P<named>(?i:option|choice|answer|letter)\b[\s:]*)?"
    r"(?:[(\[](?P<enclosed>[A-Za-z])[)\]]"
    r"|(?P<marked>[A-Z])(?=[.:,)/]|\s+[-\u2013\u2014]\s|\s+(?:and|or)\s|$)"
    r"|(?P<lower>[a-z])(?=\)|$)"
    # "A kite" and "I think" name no option, "B since" and "option A since" do.
    r"|(?P<bare>[B-HJ-Z]|(?(named)[AI]|(?!)))(?=\s))"
)
_OTHER_LETTER = re.compile(
    r"\)?\s*(?:,|/|&|and\b|or\b)[\s,]*(?:and\b|or\b)?\s*"
    r"(?:[(\[][A-Z][)\]]|[A-Z](?=\s*(?:[.,/&)]|and\b|or\b|are\b|$)))"
)

_OPPOSITE = {"yes": "no", "true": "false", "valid": "invalid"}
_OPPOSITE |= {no: yes for yes, no in _OPPOSITE.items()}
_VERDICT = re.compile(rf"\b(not\s+(?:\w+ly\s+)?)?({'|'.join(_OPPOSITE)})\b")
_OTHER_VERDICT = re.compile(rf"\s*(?:/|,?\s*or\b)\s*(?:not|{'|'.join(_OPPOSITE)})\b")
_WORD = re.compile(r"[^\W_]+(?:['\u2019.-][^\W_]+)*")


def extract(text: str) -> str:
    """The answer in a completion; "" when it holds none.

    The last answer phrase wins over earlier ones, so a correction counts; one that nothing
    follows, as at the end of a cut-off text, does not. The answer ends with its sentence or
    line; a point inside a number does not end it.
    """
    end = len(text)
    for cue in reversed(list(_CUE.finditer(text))):
        answer = clean(text[cue.end() : end])
        if answer:
            return answer
        end = cue.start()
    return ""


def clean(tail: str) -> str:
    """The answer at the start of `tail`, the text after the answer phrase."""
    tail = _plain(tail).lstrip(_WRAPPING + " \t\r\n:")
    return _bare(_SENTENCE_END.split(tail, maxsplit=1)[0])


def is_correct(answer: str, gold: str, *, question: str = "") -> bool:
    """Whether `answer` means the same as the benchmark's target `gold`.

    `question` supplies the options "(A) ..." of multiple choice.
    """
    answer, gold = " ".join(_bare(_plain(answer)).split()), gold.strip()
    if not answer or not gold:
        return False
    letter = _GOLD_LETTER.fullmatch(gold)
    if letter:
        return _choice(answer, question) == (letter[1] or letter[2]).upper()
    wanted = _number(gold) if _NUMBER.fullmatch(_unit_free(gold)) else None
    if wanted is not None:
        value = _number(answer.rpartition("=")[2])
        return value is not None and _same_number(value, wanted)
    return _same_text(answer, gold)


def _plain(text: str) -> str:
    r"""Without the marks of LaTeX and markdown: r"\text{**B**}" becomes "B"."""
    for _ in range(_DEEPEST_MARKUP):
        before = text
        for mark, plain in _MARKUP:
            text = mark.sub(plain, text)
        if text == before:
            break
    return _UNCLOSED_BOX.sub("", text)


def _bare(text: str) -> str:
    before = ""
    while text != before:
        before = text
        text = text.strip().strip(_WRAPPING).lstrip(":").rstrip("!;,:.")
    return text


def _choice(answer: str, question: str) -> str:
    """The letter of the one option that an answer names; "" when it is not one."""
    named = _LETTER.match(answer)
    if named is None or named.end() < len(answer):
        said = _without_article(answer)
        texts = _OPTION_LINE.findall(question)
        by_text = [letter for letter, text in texts if _without_article(text) == said]
        if by_text:
            return by_text[0] if len(by_text) == 1 else ""
    if named is None or _OTHER_LETTER.match(answer, named.end()):
        return ""
    letter: str = next(filter(None, named.group("enclosed", "marked", "lower", "bare")))
    return letter.upper()


def _number(text: str) -> Decimal | None:
    """The one number a text gives, by value: "$1,234.50", "18.00", "5 apples", "2 1/2"."""
    text = _unit_free(text)
    found = _NUMBER.search(text)
    if found is None or _OTHER_NUMBER.match(text, found.end()) or text.startswith("not "):
        return None
    value = Decimal(found["number"].replace(",", ""))
    if found["divisor"]:
        divisor = Decimal(found["divisor"])
        if not divisor:
            return None
        value = Decimal(found["whole"] or 0) + value / divisor
    return value.copy_negate() if found["minus"] else value


def _same_number(value: Decimal, wanted: Decimal) -> bool:
    """Equal; an endless fraction may be cut off or rounded after nine digits."""
    if value == wanted or value == value.to_integral_value():
        return value == wanted
    return abs(value - wanted) <= abs(wanted) * _ROUNDING


def _unit_free(text: str) -> str:
    return re.sub("[$\u20ac\u00a3]", "", text).strip("% ")


def _same_text(answer: str, gold: str) -> bool:
    said, wanted = _fold(answer), _fold(gold)
    if said == wanted:
        return True
    if wanted in _OPPOSITE:
        return _verdict(said) == wanted
    # Lists of words and sequences of brackets: separators do not matter, order does.
    if _WORD.sub("", wanted).strip(" ,;&"):
        return _squeezed(said) == _squeezed(wanted)
    words, gold_words = _WORD.findall(said), _WORD.findall(wanted)
    return [word for word in words if word != "and" or word in gold_words] == gold_words


def _verdict(answer: str) -> str:
    """The first verdict in a lower-case answer, as one word; "" when it is not one."""
    found = _VERDICT.search(answer)
    if found is None or _OTHER_VERDICT.match(answer, found.end()):
        return ""
    return _OPPOSITE[found[2]] if found[1] else found[2]


def _fold(text: str) -> str:
    return " ".join(text.casefold().split()).strip("\"' .")


def _without_article(text: str) -> str:
    return re.sub(r"^(?:an?|the) ", "", _fold(text))


def _squeezed(text: str) -> str:
    return re.sub(r"[\s,;]", "", text)
