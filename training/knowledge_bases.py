"""Knowledge bases over dumps, in a scratch folder, for as long as a stage needs them.

They are the service's own (`KnowledgeBase` over `EmbeddedStore`, filled by kb_loader), so what
is found here is what the service finds.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from kb_loader.dump import Dump, read_dump
from kb_loader.load import load_dump
from services.common.records import Authorship
from services.common.settings import KnowledgeSettings, load_settings
from services.knowledge.base import KnowledgeBase
from services.knowledge.embedded.store import EmbeddedStore
from services.knowledge.embedder import open_embedder
from services.knowledge.protocol import Embedder

_LOADER = Authorship("training")


class KnowledgeSpec(BaseModel):
    """One knowledge base to answer with."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dump: Path = Field(description="Folder of a dump.")
    lexical_weight: float = Field(0.3, ge=0, le=1, description="Of the keyword leg.")
    vector_weight: float = Field(0.7, ge=0, le=1, description="Of the vector leg.")
    max_related: int = Field(0, ge=0, description="Rules and facts that the graph adds.")
    kind: Literal["search", "shuffled", "gold"] = Field(
        "search",
        description="`search` as the service does; the controls `shuffled`: entries that were "
        "not found, and `gold`: a hint that says the gold answer (training/controls.py).",
    )


@asynccontextmanager
async def open_bases(
    specs: Mapping[str, KnowledgeSpec], settings: KnowledgeSettings
) -> AsyncIterator[dict[str, KnowledgeBase]]:
    """Knowledge bases by name, closed and deleted at the end of the block.

    Args:
        specs: what to open. Each dump is read and embedded once, however many name it.
        settings: of the embedder; weights and limits are those of the specs.

    Raises:
        ConfigurationError: a dump or the embedder is missing or broken.
    """
    if not specs:
        yield {}
        return
    embedder = open_embedder(load_settings().model_copy(update={"knowledge": settings}))
    async with AsyncExitStack() as opened:
        scratch = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="nesycd-")))
        files: dict[Path, Path] = {}
        bases = {}
        for name, spec in specs.items():
            if spec.dump not in files:
                files[spec.dump] = scratch / f"{len(files)}.db"
                await _load(spec.dump, files[spec.dump], embedder)
            store = EmbeddedStore(
                files[spec.dump],
                lexical_weight=spec.lexical_weight,
                vector_weight=spec.vector_weight,
            )
            bases[name] = KnowledgeBase(embedder, store, max_related=spec.max_related)
            opened.push_async_callback(bases[name].close)
        yield bases


async def _load(folder: Path, file: Path, embedder: Embedder) -> None:
    """Makes a dump the active release of a new store."""
    dump: Dump = await asyncio.to_thread(read_dump, folder)
    store = EmbeddedStore(file)
    try:
        await load_dump(dump, embedder, store, activate_by=_LOADER)
    finally:
        await store.close()
