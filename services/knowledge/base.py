"""The knowledge base: an embedder and a store behind one lookup."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import structlog

from services.common.errors import ConfigurationError, KnowledgeUnavailableError
from services.common.records import Conclusion, Entry, EntryKind
from services.knowledge.graph import relations_of
from services.knowledge.protocol import Embedder, KnowledgeQuery, KnowledgeStore, Lookup, Release
from services.knowledge.rules.engine import DEFAULT_LIMITS
from services.knowledge.rules.inference import Inference, infer
from services.knowledge.rules.parsing import parse_rule

MOST_FACTS = 5000
"""Facts that rules are applied to; with more of them, nothing is concluded."""

LIMITS = replace(DEFAULT_LIMITS, timeout_s=0.25)
"""Of applying rules to one question, while the student waits."""

_ANY_QUESTION = "How many minutes are left of the day when the clock shows three in the afternoon?"
_WARM_UPS = 3
"""A server plans a query when it comes first, and has compiled little of it when it comes again."""

log = structlog.get_logger()


class KnowledgeBase:
    """Implements `Knowledge`: embeds the question, searches, applies the rules, counts uses.

    Questions are embedded one after another in a thread, so that the setting
    `knowledge.threads` is also the most processors the encoder takes.

    Args:
        embedder: that of the active release.
        store: closed by `close`.
        max_related: most rules and facts that the graph adds to a lookup.
    """

    def __init__(self, embedder: Embedder, store: KnowledgeStore, *, max_related: int = 0) -> None:
        self.embedder = embedder
        self.store = store
        self._max_related = max_related
        self._closed = False
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="knowledge-embed")

    async def lookup(self, query: KnowledgeQuery) -> Lookup:
        """Finds entries; see `Knowledge`.

        Raises:
            KnowledgeUnavailableError: the store cannot be read, or the active release was
                embedded by another model.
        """
        if self._closed:
            raise KnowledgeUnavailableError("the knowledge base is closed.")
        loop = asyncio.get_running_loop()
        vectors = await loop.run_in_executor(self._worker, self.embedder.embed, [query.question])
        wanted = replace(query, max_related=self._max_related)
        found = await self.store.search(wanted, vectors[0])
        if mismatch := self._mismatch(found.release):
            raise KnowledgeUnavailableError(mismatch)
        rules = [hit.entry for hit in found.related if hit.entry.kind is EntryKind.RULE]
        found = replace(
            found,
            # What comes of a rule is told; the rule itself stands in the proof.
            related=tuple(hit for hit in found.related if hit.entry.kind is not EntryKind.RULE),
            conclusions=await self._conclude(query, rules),
        )
        used = [hit.entry.id for hit in (*found.found, *found.related)]
        used += [step.entry_id for one in found.conclusions for step in one.proof if step.entry_id]
        if used:
            await self.store.record_use(list(dict.fromkeys(used)))
        return found

    async def _conclude(
        self, query: KnowledgeQuery, rules: Sequence[Entry]
    ) -> tuple[Conclusion, ...]:
        """What the rules say about the question, given the facts of the relations they use."""
        if not rules:
            return ()
        facts = await self.store.facts(relations_of(rules), MOST_FACTS + 1)
        if len(facts) > MOST_FACTS:
            log.warning("rules_not_applied", reason=f"more than {MOST_FACTS} facts")
            return ()
        if query.exclude_source:
            facts = tuple(fact for fact in facts if fact.source != query.exclude_source)
        loop = asyncio.get_running_loop()
        inference = await loop.run_in_executor(self._worker, _infer, query.question, rules, facts)
        if inference.limit or inference.skipped:
            log.warning(
                "rules_not_applied", reason=inference.limit, skipped=list(inference.skipped)
            )
        return inference.conclusions

    async def active_release(self) -> Release | None:
        """The release that lookups see, or None."""
        return await self.store.active_release()

    async def check(self) -> None:
        """Refuses, at start, an active release that was embedded by another model.

        Raises:
            ConfigurationError: it was.
        """
        if mismatch := self._mismatch(await self.store.active_release()):
            raise ConfigurationError(mismatch)

    async def warm_up(self) -> None:
        """Bears the costs of a first lookup, and begins to follow activations.

        A store that cannot be reached yet is no failure: lookups will say so.
        """
        loop = asyncio.get_running_loop()
        vectors = await loop.run_in_executor(self._worker, self.embedder.embed, [_ANY_QUESTION])
        # Otherwise the first rule builds the parser, which takes longer than a lookup.
        await loop.run_in_executor(self._worker, parse_rule, "warm(X) :- up(X).")
        query = KnowledgeQuery(_ANY_QUESTION, max_related=self._max_related)
        for _ in range(_WARM_UPS):
            try:
                await self.store.search(query, vectors[0])
            except KnowledgeUnavailableError as error:
                log.warning("knowledge_unavailable", error=error.message)

    async def close(self) -> None:
        """Closes the store and ends the worker. Safe to call twice."""
        self._closed = True
        self._worker.shutdown(cancel_futures=True)
        await self.store.close()

    def _mismatch(self, release: Release | None) -> str:
        """Why the release's vectors cannot be compared with this embedder's; "" if they can."""
        if release is None or release.embedding_checksum == self.embedder.checksum:
            return ""
        return (
            f"release {release.name!r} was embedded by {release.embedding_model} "
            f"({release.embedding_checksum[:12]}), questions by {self.embedder.model_id} "
            f"({self.embedder.checksum[:12]}): set NESYCD_KNOWLEDGE__EMBEDDER to the former, or "
            f"load the dump again under another release name."
        )


def _infer(question: str, rules: Sequence[Entry], facts: Sequence[Entry]) -> Inference:
    return infer(question, rules, facts, limits=LIMITS)
