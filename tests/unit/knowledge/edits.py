"""Editors, and what they do in one step."""

from __future__ import annotations

from services.common.errors import EntryNotFoundError
from services.common.records import Authorship, Entry, EntryStatus, Revision
from services.knowledge.checksums import etag
from services.knowledge.editing import Editor

ADA = Authorship("ada", "a better example")
BOB = Authorship("bob")


async def tag(editor: Editor, entry_id: str) -> str:
    """The etag of an entry's newest revision."""
    return etag(await editor.get(entry_id))


async def accepted(editor: Editor, made: Entry, author: Authorship = ADA) -> Revision:
    """Creates or updates an entry, and accepts it."""
    try:
        draft = await editor.update(made, await tag(editor, made.id), author)
    except EntryNotFoundError:
        draft = await editor.create(made, author)
    return await editor.review(made.id, etag(draft), EntryStatus.ACCEPTED, author)
