"""Data cards: a page of Markdown beside every generated file, saying what is in it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from services.common.errors import ConfigurationError
from training.data.profiles import PROFILES

CARD = "card.md"


@dataclass(frozen=True, slots=True)
class Card:
    """What a card says. It has neither dates nor folders: the same data has the same card.

    Attributes:
        title: what the file holds, in a few words.
        about: paragraphs.
        facts: name to value, such as the licence.
        columns: of the table of counts.
        rows: of that table.
    """

    title: str
    about: Sequence[str]
    facts: Mapping[str, str]
    columns: Sequence[str]
    rows: Sequence[Sequence[object]]

    def render(self) -> str:
        """The page."""
        blocks = [f"# {self.title}", *self.about]
        blocks.append("\n".join(f"- **{name}**: {value}" for name, value in self.facts.items()))
        table = [self.columns, ["---"] * len(self.columns), *self.rows]
        blocks.append("\n".join(f"| {' | '.join(map(str, row))} |" for row in table))
        return "\n\n".join(blocks) + "\n"

    def write(self, folder: Path) -> None:
        """Writes it as `card.md`. Raises: ConfigurationError when that cannot be."""
        path = folder / CARD
        try:
            path.write_text(self.render(), encoding="utf-8")
        except OSError as error:
            raise ConfigurationError(f"{path} cannot be written: {error.strerror}") from error


def licences(datasets: Iterable[str]) -> str:
    """Of all profiles named, in their order."""
    wanted = set(datasets)
    return "; ".join(f"{name}: {one.licence}" for name, one in PROFILES.items() if name in wanted)


def wishes(datasets: Iterable[str]) -> list[str]:
    """What the authors of the benchmarks ask of those who train on them."""
    wanted = set(datasets)
    return [one.wish for name, one in PROFILES.items() if name in wanted and one.wish]
