"""Entries as messages: nothing is lost on the way."""

from hypothesis import given
from hypothesis import strategies as st

from services.common.records import (
    Action,
    Authorship,
    Entry,
    EntryStatus,
    Fact,
    Note,
    Revision,
    Rule,
)
from services.genproto.nesycd.v1 import knowledge_pb2 as pb
from services.knowledge.checksums import etag
from services.knowledge.protocol import Uses
from services.knowledge.service.wire import read_entry, write_entry, write_revision

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
LINES = st.lists(TEXT, max_size=3).map(tuple)
BODIES = st.one_of(
    st.builds(Note, LINES, LINES),
    st.builds(Rule, TEXT, st.floats(0, 1)),
    st.builds(Fact, TEXT, TEXT, TEXT),
)
ENTRIES = st.builds(Entry, TEXT, st.integers(1, 2**31 - 1), TEXT, TEXT, BODIES, TEXT, TEXT, LINES)


@given(ENTRIES)
def test_an_entry_arrives_as_it_was(entry):
    message = pb.Entry.FromString(write_entry(entry).SerializeToString())
    assert read_entry(message) == entry
    assert message.WhichOneof("body") == entry.kind.value


def test_a_revision_carries_status_author_etag_and_uses():
    entry = Entry("a", 3, "", "", Fact("a", "is", "b"), "", "x")
    author = Authorship("ana", "why", "b1")
    revision = Revision(entry, EntryStatus.RETIRED, Action.MERGED, author, 12.5, "other")
    assert write_revision(revision, Uses(5, 3, 1)) == pb.EntryRevision(
        entry=write_entry(entry),
        status="retired",
        action="merged",
        edit=pb.Edit(actor="ana", reason="why", batch="b1"),
        time_s=12.5,
        etag=etag(revision),
        redirect_to="other",
        uses=pb.UseCounts(retrieved=5, right=3, wrong=1),
    )
    assert not write_revision(revision).HasField("uses")
