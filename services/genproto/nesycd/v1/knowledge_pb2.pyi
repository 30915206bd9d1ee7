from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Note(_message.Message):
    __slots__ = ("learning_summary", "supplementary_knowledge")
    LEARNING_SUMMARY_FIELD_NUMBER: _ClassVar[int]
    SUPPLEMENTARY_KNOWLEDGE_FIELD_NUMBER: _ClassVar[int]
    learning_summary: _containers.RepeatedScalarFieldContainer[str]
    supplementary_knowledge: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, learning_summary: _Optional[_Iterable[str]] = ..., supplementary_knowledge: _Optional[_Iterable[str]] = ...) -> None: ...

class Rule(_message.Message):
    __slots__ = ("text", "confidence")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    text: str
    confidence: float
    def __init__(self, text: _Optional[str] = ..., confidence: _Optional[float] = ...) -> None: ...

class Fact(_message.Message):
    __slots__ = ("subject", "relation", "object")
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    RELATION_FIELD_NUMBER: _ClassVar[int]
    OBJECT_FIELD_NUMBER: _ClassVar[int]
    subject: str
    relation: str
    object: str
    def __init__(self, subject: _Optional[str] = ..., relation: _Optional[str] = ..., object: _Optional[str] = ...) -> None: ...

class Entry(_message.Message):
    __slots__ = ("id", "revision", "task", "question", "note", "rule", "fact", "source", "provenance", "concepts")
    ID_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    QUESTION_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    FACT_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    PROVENANCE_FIELD_NUMBER: _ClassVar[int]
    CONCEPTS_FIELD_NUMBER: _ClassVar[int]
    id: str
    revision: int
    task: str
    question: str
    note: Note
    rule: Rule
    fact: Fact
    source: str
    provenance: str
    concepts: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, id: _Optional[str] = ..., revision: _Optional[int] = ..., task: _Optional[str] = ..., question: _Optional[str] = ..., note: _Optional[_Union[Note, _Mapping]] = ..., rule: _Optional[_Union[Rule, _Mapping]] = ..., fact: _Optional[_Union[Fact, _Mapping]] = ..., source: _Optional[str] = ..., provenance: _Optional[str] = ..., concepts: _Optional[_Iterable[str]] = ...) -> None: ...

class Edit(_message.Message):
    __slots__ = ("actor", "reason", "batch")
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    BATCH_FIELD_NUMBER: _ClassVar[int]
    actor: str
    reason: str
    batch: str
    def __init__(self, actor: _Optional[str] = ..., reason: _Optional[str] = ..., batch: _Optional[str] = ...) -> None: ...

class UseCounts(_message.Message):
    __slots__ = ("retrieved", "right", "wrong")
    RETRIEVED_FIELD_NUMBER: _ClassVar[int]
    RIGHT_FIELD_NUMBER: _ClassVar[int]
    WRONG_FIELD_NUMBER: _ClassVar[int]
    retrieved: int
    right: int
    wrong: int
    def __init__(self, retrieved: _Optional[int] = ..., right: _Optional[int] = ..., wrong: _Optional[int] = ...) -> None: ...

class EntryRevision(_message.Message):
    __slots__ = ("entry", "status", "action", "edit", "time_s", "etag", "redirect_to", "uses")
    ENTRY_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    EDIT_FIELD_NUMBER: _ClassVar[int]
    TIME_S_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    REDIRECT_TO_FIELD_NUMBER: _ClassVar[int]
    USES_FIELD_NUMBER: _ClassVar[int]
    entry: Entry
    status: str
    action: str
    edit: Edit
    time_s: float
    etag: str
    redirect_to: str
    uses: UseCounts
    def __init__(self, entry: _Optional[_Union[Entry, _Mapping]] = ..., status: _Optional[str] = ..., action: _Optional[str] = ..., edit: _Optional[_Union[Edit, _Mapping]] = ..., time_s: _Optional[float] = ..., etag: _Optional[str] = ..., redirect_to: _Optional[str] = ..., uses: _Optional[_Union[UseCounts, _Mapping]] = ...) -> None: ...

class FieldChange(_message.Message):
    __slots__ = ("field", "old", "new")
    FIELD_FIELD_NUMBER: _ClassVar[int]
    OLD_FIELD_NUMBER: _ClassVar[int]
    NEW_FIELD_NUMBER: _ClassVar[int]
    field: str
    old: str
    new: str
    def __init__(self, field: _Optional[str] = ..., old: _Optional[str] = ..., new: _Optional[str] = ...) -> None: ...

class FindEntriesRequest(_message.Message):
    __slots__ = ("text", "kinds", "statuses", "task", "batch", "page_size", "page_token")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    KINDS_FIELD_NUMBER: _ClassVar[int]
    STATUSES_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    BATCH_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    text: str
    kinds: _containers.RepeatedScalarFieldContainer[str]
    statuses: _containers.RepeatedScalarFieldContainer[str]
    task: str
    batch: str
    page_size: int
    page_token: str
    def __init__(self, text: _Optional[str] = ..., kinds: _Optional[_Iterable[str]] = ..., statuses: _Optional[_Iterable[str]] = ..., task: _Optional[str] = ..., batch: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class FacetCount(_message.Message):
    __slots__ = ("field", "value", "entries")
    FIELD_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    field: str
    value: str
    entries: int
    def __init__(self, field: _Optional[str] = ..., value: _Optional[str] = ..., entries: _Optional[int] = ...) -> None: ...

class FindEntriesResponse(_message.Message):
    __slots__ = ("entries", "total", "facets", "next_page_token")
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    FACETS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.RepeatedCompositeFieldContainer[EntryRevision]
    total: int
    facets: _containers.RepeatedCompositeFieldContainer[FacetCount]
    next_page_token: str
    def __init__(self, entries: _Optional[_Iterable[_Union[EntryRevision, _Mapping]]] = ..., total: _Optional[int] = ..., facets: _Optional[_Iterable[_Union[FacetCount, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class SearchEntriesRequest(_message.Message):
    __slots__ = ("question", "top_k", "task", "kinds", "max_related")
    QUESTION_FIELD_NUMBER: _ClassVar[int]
    TOP_K_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    KINDS_FIELD_NUMBER: _ClassVar[int]
    MAX_RELATED_FIELD_NUMBER: _ClassVar[int]
    question: str
    top_k: int
    task: str
    kinds: _containers.RepeatedScalarFieldContainer[str]
    max_related: int
    def __init__(self, question: _Optional[str] = ..., top_k: _Optional[int] = ..., task: _Optional[str] = ..., kinds: _Optional[_Iterable[str]] = ..., max_related: _Optional[int] = ...) -> None: ...

class FoundEntry(_message.Message):
    __slots__ = ("entry", "score", "leg_ranks")
    class LegRanksEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    ENTRY_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    LEG_RANKS_FIELD_NUMBER: _ClassVar[int]
    entry: Entry
    score: float
    leg_ranks: _containers.ScalarMap[str, int]
    def __init__(self, entry: _Optional[_Union[Entry, _Mapping]] = ..., score: _Optional[float] = ..., leg_ranks: _Optional[_Mapping[str, int]] = ...) -> None: ...

class SearchEntriesResponse(_message.Message):
    __slots__ = ("found", "release")
    FOUND_FIELD_NUMBER: _ClassVar[int]
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    found: _containers.RepeatedCompositeFieldContainer[FoundEntry]
    release: str
    def __init__(self, found: _Optional[_Iterable[_Union[FoundEntry, _Mapping]]] = ..., release: _Optional[str] = ...) -> None: ...

class GetEntryRequest(_message.Message):
    __slots__ = ("id", "revision")
    ID_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    id: str
    revision: int
    def __init__(self, id: _Optional[str] = ..., revision: _Optional[int] = ...) -> None: ...

class GetEntryResponse(_message.Message):
    __slots__ = ("entry",)
    ENTRY_FIELD_NUMBER: _ClassVar[int]
    entry: EntryRevision
    def __init__(self, entry: _Optional[_Union[EntryRevision, _Mapping]] = ...) -> None: ...

class GetEntryHistoryRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class HistoryStep(_message.Message):
    __slots__ = ("revision", "changes")
    REVISION_FIELD_NUMBER: _ClassVar[int]
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    revision: EntryRevision
    changes: _containers.RepeatedCompositeFieldContainer[FieldChange]
    def __init__(self, revision: _Optional[_Union[EntryRevision, _Mapping]] = ..., changes: _Optional[_Iterable[_Union[FieldChange, _Mapping]]] = ...) -> None: ...

class GetEntryHistoryResponse(_message.Message):
    __slots__ = ("steps",)
    STEPS_FIELD_NUMBER: _ClassVar[int]
    steps: _containers.RepeatedCompositeFieldContainer[HistoryStep]
    def __init__(self, steps: _Optional[_Iterable[_Union[HistoryStep, _Mapping]]] = ...) -> None: ...

class FindDuplicateEntriesRequest(_message.Message):
    __slots__ = ("kinds", "min_similarity", "limit", "task")
    KINDS_FIELD_NUMBER: _ClassVar[int]
    MIN_SIMILARITY_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    kinds: _containers.RepeatedScalarFieldContainer[str]
    min_similarity: float
    limit: int
    task: str
    def __init__(self, kinds: _Optional[_Iterable[str]] = ..., min_similarity: _Optional[float] = ..., limit: _Optional[int] = ..., task: _Optional[str] = ...) -> None: ...

class DuplicatePair(_message.Message):
    __slots__ = ("id", "other_id", "similarity", "text", "other_text")
    ID_FIELD_NUMBER: _ClassVar[int]
    OTHER_ID_FIELD_NUMBER: _ClassVar[int]
    SIMILARITY_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    OTHER_TEXT_FIELD_NUMBER: _ClassVar[int]
    id: str
    other_id: str
    similarity: float
    text: str
    other_text: str
    def __init__(self, id: _Optional[str] = ..., other_id: _Optional[str] = ..., similarity: _Optional[float] = ..., text: _Optional[str] = ..., other_text: _Optional[str] = ...) -> None: ...

class FindDuplicateEntriesResponse(_message.Message):
    __slots__ = ("pairs", "release")
    PAIRS_FIELD_NUMBER: _ClassVar[int]
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    pairs: _containers.RepeatedCompositeFieldContainer[DuplicatePair]
    release: str
    def __init__(self, pairs: _Optional[_Iterable[_Union[DuplicatePair, _Mapping]]] = ..., release: _Optional[str] = ...) -> None: ...

class CreateEntryRequest(_message.Message):
    __slots__ = ("entry", "edit")
    ENTRY_FIELD_NUMBER: _ClassVar[int]
    EDIT_FIELD_NUMBER: _ClassVar[int]
    entry: Entry
    edit: Edit
    def __init__(self, entry: _Optional[_Union[Entry, _Mapping]] = ..., edit: _Optional[_Union[Edit, _Mapping]] = ...) -> None: ...

class CreateEntryResponse(_message.Message):
    __slots__ = ("entry",)
    ENTRY_FIELD_NUMBER: _ClassVar[int]
    entry: EntryRevision
    def __init__(self, entry: _Optional[_Union[EntryRevision, _Mapping]] = ...) -> None: ...

class UpdateEntryRequest(_message.Message):
    __slots__ = ("entry", "etag", "edit")
    ENTRY_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    EDIT_FIELD_NUMBER: _ClassVar[int]
    entry: Entry
    etag: str
    edit: Edit
    def __init__(self, entry: _Optional[_Union[Entry, _Mapping]] = ..., etag: _Optional[str] = ..., edit: _Optional[_Union[Edit, _Mapping]] = ...) -> None: ...

class UpdateEntryResponse(_message.Message):
    __slots__ = ("entry",)
    ENTRY_FIELD_NUMBER: _ClassVar[int]
    entry: EntryRevision
    def __init__(self, entry: _Optional[_Union[EntryRevision, _Mapping]] = ...) -> None: ...

class ReviewEntryRequest(_message.Message):
    __slots__ = ("id", "etag", "verdict", "edit")
    ID_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    EDIT_FIELD_NUMBER: _ClassVar[int]
    id: str
    etag: str
    verdict: str
    edit: Edit
    def __init__(self, id: _Optional[str] = ..., etag: _Optional[str] = ..., verdict: _Optional[str] = ..., edit: _Optional[_Union[Edit, _Mapping]] = ...) -> None: ...

class ReviewEntryResponse(_message.Message):
    __slots__ = ("entry",)
    ENTRY_FIELD_NUMBER: _ClassVar[int]
    entry: EntryRevision
    def __init__(self, entry: _Optional[_Union[EntryRevision, _Mapping]] = ...) -> None: ...

class RetireEntryRequest(_message.Message):
    __slots__ = ("id", "etag", "edit")
    ID_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    EDIT_FIELD_NUMBER: _ClassVar[int]
    id: str
    etag: str
    edit: Edit
    def __init__(self, id: _Optional[str] = ..., etag: _Optional[str] = ..., edit: _Optional[_Union[Edit, _Mapping]] = ...) -> None: ...

class RetireEntryResponse(_message.Message):
    __slots__ = ("entry",)
    ENTRY_FIELD_NUMBER: _ClassVar[int]
    entry: EntryRevision
    def __init__(self, entry: _Optional[_Union[EntryRevision, _Mapping]] = ...) -> None: ...

class RevertEntryRequest(_message.Message):
    __slots__ = ("id", "etag", "revision", "edit")
    ID_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    EDIT_FIELD_NUMBER: _ClassVar[int]
    id: str
    etag: str
    revision: int
    edit: Edit
    def __init__(self, id: _Optional[str] = ..., etag: _Optional[str] = ..., revision: _Optional[int] = ..., edit: _Optional[_Union[Edit, _Mapping]] = ...) -> None: ...

class RevertEntryResponse(_message.Message):
    __slots__ = ("entry",)
    ENTRY_FIELD_NUMBER: _ClassVar[int]
    entry: EntryRevision
    def __init__(self, entry: _Optional[_Union[EntryRevision, _Mapping]] = ...) -> None: ...

class RevertBatchRequest(_message.Message):
    __slots__ = ("batch", "edit")
    BATCH_FIELD_NUMBER: _ClassVar[int]
    EDIT_FIELD_NUMBER: _ClassVar[int]
    batch: str
    edit: Edit
    def __init__(self, batch: _Optional[str] = ..., edit: _Optional[_Union[Edit, _Mapping]] = ...) -> None: ...

class RevertBatchResponse(_message.Message):
    __slots__ = ("entries",)
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.RepeatedCompositeFieldContainer[EntryRevision]
    def __init__(self, entries: _Optional[_Iterable[_Union[EntryRevision, _Mapping]]] = ...) -> None: ...

class MergeEntriesRequest(_message.Message):
    __slots__ = ("id", "etag", "into", "edit")
    ID_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    INTO_FIELD_NUMBER: _ClassVar[int]
    EDIT_FIELD_NUMBER: _ClassVar[int]
    id: str
    etag: str
    into: str
    edit: Edit
    def __init__(self, id: _Optional[str] = ..., etag: _Optional[str] = ..., into: _Optional[str] = ..., edit: _Optional[_Union[Edit, _Mapping]] = ...) -> None: ...

class MergeEntriesResponse(_message.Message):
    __slots__ = ("entry",)
    ENTRY_FIELD_NUMBER: _ClassVar[int]
    entry: EntryRevision
    def __init__(self, entry: _Optional[_Union[EntryRevision, _Mapping]] = ...) -> None: ...

class RecordOutcomeRequest(_message.Message):
    __slots__ = ("entry_ids", "outcome")
    ENTRY_IDS_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    entry_ids: _containers.RepeatedScalarFieldContainer[str]
    outcome: str
    def __init__(self, entry_ids: _Optional[_Iterable[str]] = ..., outcome: _Optional[str] = ...) -> None: ...

class RecordOutcomeResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Release(_message.Message):
    __slots__ = ("name", "checksum", "entries", "embedding_model", "embedding_checksum", "dimension", "provenance", "parent", "active")
    NAME_FIELD_NUMBER: _ClassVar[int]
    CHECKSUM_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    EMBEDDING_MODEL_FIELD_NUMBER: _ClassVar[int]
    EMBEDDING_CHECKSUM_FIELD_NUMBER: _ClassVar[int]
    DIMENSION_FIELD_NUMBER: _ClassVar[int]
    PROVENANCE_FIELD_NUMBER: _ClassVar[int]
    PARENT_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_FIELD_NUMBER: _ClassVar[int]
    name: str
    checksum: str
    entries: int
    embedding_model: str
    embedding_checksum: str
    dimension: int
    provenance: str
    parent: str
    active: bool
    def __init__(self, name: _Optional[str] = ..., checksum: _Optional[str] = ..., entries: _Optional[int] = ..., embedding_model: _Optional[str] = ..., embedding_checksum: _Optional[str] = ..., dimension: _Optional[int] = ..., provenance: _Optional[str] = ..., parent: _Optional[str] = ..., active: _Optional[bool] = ...) -> None: ...

class ListReleasesRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListReleasesResponse(_message.Message):
    __slots__ = ("releases",)
    RELEASES_FIELD_NUMBER: _ClassVar[int]
    releases: _containers.RepeatedCompositeFieldContainer[Release]
    def __init__(self, releases: _Optional[_Iterable[_Union[Release, _Mapping]]] = ...) -> None: ...

class ReleaseChange(_message.Message):
    __slots__ = ("id", "change", "fields")
    ID_FIELD_NUMBER: _ClassVar[int]
    CHANGE_FIELD_NUMBER: _ClassVar[int]
    FIELDS_FIELD_NUMBER: _ClassVar[int]
    id: str
    change: str
    fields: _containers.RepeatedCompositeFieldContainer[FieldChange]
    def __init__(self, id: _Optional[str] = ..., change: _Optional[str] = ..., fields: _Optional[_Iterable[_Union[FieldChange, _Mapping]]] = ...) -> None: ...

class PreviewReleaseRequest(_message.Message):
    __slots__ = ("base", "limit")
    BASE_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    base: str
    limit: int
    def __init__(self, base: _Optional[str] = ..., limit: _Optional[int] = ...) -> None: ...

class RuleProblem(_message.Message):
    __slots__ = ("id", "reason")
    ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    id: str
    reason: str
    def __init__(self, id: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class PreviewReleaseResponse(_message.Message):
    __slots__ = ("base", "changes", "total", "entries", "problems")
    BASE_FIELD_NUMBER: _ClassVar[int]
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    PROBLEMS_FIELD_NUMBER: _ClassVar[int]
    base: str
    changes: _containers.RepeatedCompositeFieldContainer[ReleaseChange]
    total: int
    entries: int
    problems: _containers.RepeatedCompositeFieldContainer[RuleProblem]
    def __init__(self, base: _Optional[str] = ..., changes: _Optional[_Iterable[_Union[ReleaseChange, _Mapping]]] = ..., total: _Optional[int] = ..., entries: _Optional[int] = ..., problems: _Optional[_Iterable[_Union[RuleProblem, _Mapping]]] = ...) -> None: ...

class CreateReleaseRequest(_message.Message):
    __slots__ = ("name", "base", "edit")
    NAME_FIELD_NUMBER: _ClassVar[int]
    BASE_FIELD_NUMBER: _ClassVar[int]
    EDIT_FIELD_NUMBER: _ClassVar[int]
    name: str
    base: str
    edit: Edit
    def __init__(self, name: _Optional[str] = ..., base: _Optional[str] = ..., edit: _Optional[_Union[Edit, _Mapping]] = ...) -> None: ...

class CreateReleaseResponse(_message.Message):
    __slots__ = ("release",)
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    release: Release
    def __init__(self, release: _Optional[_Union[Release, _Mapping]] = ...) -> None: ...

class ActivateReleaseRequest(_message.Message):
    __slots__ = ("name", "edit")
    NAME_FIELD_NUMBER: _ClassVar[int]
    EDIT_FIELD_NUMBER: _ClassVar[int]
    name: str
    edit: Edit
    def __init__(self, name: _Optional[str] = ..., edit: _Optional[_Union[Edit, _Mapping]] = ...) -> None: ...

class ActivateReleaseResponse(_message.Message):
    __slots__ = ("release",)
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    release: Release
    def __init__(self, release: _Optional[_Union[Release, _Mapping]] = ...) -> None: ...

class RollBackReleaseRequest(_message.Message):
    __slots__ = ("edit",)
    EDIT_FIELD_NUMBER: _ClassVar[int]
    edit: Edit
    def __init__(self, edit: _Optional[_Union[Edit, _Mapping]] = ...) -> None: ...

class RollBackReleaseResponse(_message.Message):
    __slots__ = ("release",)
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    release: Release
    def __init__(self, release: _Optional[_Union[Release, _Mapping]] = ...) -> None: ...
