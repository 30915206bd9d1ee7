"""What is done with many independent rows, and where it may be spread over processes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeVar

from training.row_file import Row

Item = TypeVar("Item", bound=Row)
Result = TypeVar("Result", bound=Row)
_ItemIn_contra = TypeVar("_ItemIn_contra", bound=Row, contravariant=True)
_ResultOut_co = TypeVar("_ResultOut_co", bound=Row, covariant=True)


@dataclass(frozen=True, slots=True)
class RayCluster:
    """Where rows are spread over processes.

    Attributes:
        address: "local" for a Ray of its own on this machine, "auto" for the one that runs
            here, or HOST:PORT.
        workers: processes, each of which opens a worker; 0: one per GPU, or one per machine
            where there are none.
    """

    address: str
    workers: int = 0


class Worker(Protocol[_ItemIn_contra, _ResultOut_co]):
    """What is done with a row. Can be pickled as long as it is not open.

    A failure that belongs to the row is a row with an `error`, which the next run tries again;
    what is raised ends the whole work, with all rows kept that were made until then.
    """

    async def open(self) -> None:
        """Loads models, opens connections; called once, in the process that does the work."""
        ...

    async def __call__(self, item: _ItemIn_contra, /) -> _ResultOut_co:
        """Makes the row of one item. Called for many items at a time."""
        ...

    async def close(self) -> None:
        """Lets go of what `open` took; also after a failure, and safe to call twice."""
        ...
