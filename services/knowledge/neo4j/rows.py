"""Entries, revisions and releases as the properties of nodes, and back."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from services.common.records import (
    Action,
    Authorship,
    Entry,
    EntryKind,
    EntryStatus,
    Fact,
    Revision,
)
from services.knowledge.checksums import entry_checksum
from services.knowledge.content import read_body, write_body
from services.knowledge.protocol import Release, Vector

Properties = dict[str, Any]
"""Of a node, as the driver takes and gives them."""

_LONGEST_KEY = 256


def entry_properties(entry: Entry) -> Properties:
    """What revisions and edits keep of an entry.

    `said` is what an editor's words are looked for in, in folded case.
    """
    properties: Properties = {
        "entry_id": entry.id,
        "revision": entry.revision,
        "kind": entry.kind.value,
        "task": entry.task,
        "question": entry.question,
        "body": write_body(entry.body),
        "source": entry.source,
        "provenance": entry.provenance,
        "concepts": list(entry.concepts),
        "checksum": entry_checksum(entry),
        "said": f"{entry.id}\n{entry.question}\n{entry.text}".casefold(),
    }
    if isinstance(entry.body, Fact):
        properties["relation"] = entry.body.relation
    return properties


def revision_properties(entry: Entry, vector: Vector, **place: int) -> Properties:
    """What a space keeps of an entry; `place` is its space, since and until."""
    return (
        entry_properties(entry)
        | place
        | {
            "searched": entry.searched_text,
            "vector": vector.tolist(),
        }
    )


def edit_properties(revision: Revision, **of_call: Any) -> Properties:
    """What an edit keeps; `of_call` is its position, and the call that made it."""
    return (
        entry_properties(revision.entry)
        | of_call
        | {
            "status": revision.status.value,
            "action": revision.action.value,
            "actor": revision.author.actor,
            "reason": revision.author.reason,
            "batch": revision.author.batch,
            "at": revision.at,
            "redirect_to": revision.redirect_to,
        }
    )


def release_properties(release: Release) -> Properties:
    """What a release keeps of its record."""
    return asdict(release)


def stored_key(concept: str) -> str:
    """A concept's key as the graph keeps it: indexes refuse very long ones."""
    if len(concept) <= _LONGEST_KEY:
        return concept
    return f"{concept[:_LONGEST_KEY]}… {hashlib.sha256(concept.encode()).hexdigest()}"


def entry_of(node: Mapping[str, Any]) -> Entry:
    """The entry that a revision or an edit keeps."""
    return Entry(
        id=node["entry_id"],
        revision=node["revision"],
        task=node["task"],
        question=node["question"],
        body=read_body(EntryKind(node["kind"]), node["body"]),
        source=node["source"],
        provenance=node["provenance"],
        concepts=tuple(node["concepts"]),
    )


def vector_of(values: list[float]) -> Vector:
    """The vector, bit for bit as it was loaded: doubles hold every float32."""
    return np.array(values, dtype=np.float32)


def release_of(node: Mapping[str, Any]) -> Release:
    """The release that a node keeps."""
    return Release(**{name: node[name] for name in Release.__dataclass_fields__})


def edit_of(node: Mapping[str, Any]) -> Revision:
    """The revision that an edit keeps."""
    return Revision(
        entry=entry_of(node),
        status=EntryStatus(node["status"]),
        action=Action(node["action"]),
        author=Authorship(node["actor"], node["reason"], node["batch"]),
        at=node["at"],
        redirect_to=node["redirect_to"],
    )


def loaded_of(node: Mapping[str, Any], origin: Mapping[str, Any]) -> Revision:
    """The revision that a release brought; `origin` is that release."""
    return Revision(
        entry=entry_of(node),
        status=EntryStatus.ACCEPTED,
        action=Action.LOADED,
        author=Authorship(origin["provenance"], origin["name"]),
        at=origin["loaded_at"],
    )
