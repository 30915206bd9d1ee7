"""A teacher that wrote long ago: rationales of files, by the question's id."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from training.data.json_lines import read_lines
from training.row_file import parse_row
from training.teachers.protocol import NoReplyError, Prompt, Reply


class RecordedRow(BaseModel):
    """A line of such a file. Whatever else stands in it is left alone, as of a benchmark's file.

    So a benchmark whose questions come with people's solutions is a recorded teacher itself.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    id: str = Field(min_length=1, description="Key of the question.")
    rationale: str | None = Field(description="Null: nothing was written for this one.")
    teacher: str | None = Field(None, description="Who wrote it.")


@dataclass(frozen=True, slots=True)
class _Recorded:
    text: str
    writer: str


class RecordedRationales:
    """A `Teacher` that reads. Several rows of one id are its samples, in the files' order.

    Args:
        paths: JSON Lines, `.gz` or not.

    Raises:
        ConfigurationError: a file cannot be read, or a row of it is wrong.
    """

    def __init__(self, paths: Iterable[Path]) -> None:
        self._recorded: dict[str, list[_Recorded]] = defaultdict(list)
        for path in paths:
            for place, line in read_lines(path):
                row = parse_row(line, RecordedRow, place)
                if row.rationale is not None:
                    writer = row.teacher or path.name
                    self._recorded[row.id].append(_Recorded(row.rationale.strip(), writer))

    async def write(self, prompt: Prompt) -> Reply:
        """Replies with the recorded text, whatever the messages say; see `Teacher.write`.

        Raises: NoReplyError when there is none for this question and sample.
        """
        there = self._recorded.get(prompt.question, [])
        if len(there) <= prompt.sample:
            which = f", sample {prompt.sample}" if prompt.sample else ""
            raise NoReplyError(f"no recorded rationale of {prompt.question!r}{which}")
        found = there[prompt.sample]
        return Reply(text=found.text, model=found.writer)

    async def close(self) -> None:
        """Nothing to let go of."""
