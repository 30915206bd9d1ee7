"""All Cypher of the Neo4j store, and how the graph is laid out.

::

    (:Active)-[:SEES]->(:Release)-[:IN]->(:Space)       what searches see
    (:Active)-[:CURRENT]->(:Activation)-[:OF]->(:Release)
    (:Activation)-[:PREVIOUS]->(:Activation)            where a roll-back goes
    (:Revision:SpaceN:Note|Rule|Fact)-[:ABOUT]->(:Concept)
    (:Concept)-[:FACT {relation}]->(:Concept)
    (:Entry)-[:HAS_REVISION]->(:Edit), (:Entry)-[:NEWEST]->(:Edit)
    (:UseCount), (:Migration), (:Counter)

A loaded dump makes a space, and a vector and a full-text index over its label alone. A
release derived from another lives in the same space under the next number: what it leaves
out ends there (`until`), what it brings begins there (`since`), so that deriving costs as
much as what changed. A search takes what holds at its release's number.

Values are parameters. Labels and index names are made of whole numbers only.
"""

from __future__ import annotations

from collections.abc import Iterable

from services.common.records import EntryKind

FOREVER = 2**31 - 1
"""`until` of what no release of its space has left out."""

# Schema

MIGRATIONS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "releases, edits, uses",
        (
            (
                "CREATE CONSTRAINT migrations IF NOT EXISTS "
                "FOR (n:Migration) REQUIRE n.number IS UNIQUE"
            ),
            "CREATE CONSTRAINT counters IF NOT EXISTS FOR (n:Counter) REQUIRE n.name IS UNIQUE",
            "CREATE CONSTRAINT releases IF NOT EXISTS FOR (n:Release) REQUIRE n.name IS UNIQUE",
            "CREATE INDEX numbers IF NOT EXISTS FOR (n:Release) ON (n.space, n.number)",
            "CREATE CONSTRAINT spaces IF NOT EXISTS FOR (n:Space) REQUIRE n.key IS UNIQUE",
            "CREATE CONSTRAINT active IF NOT EXISTS FOR (n:Active) REQUIRE n.id IS UNIQUE",
            (
                "CREATE CONSTRAINT revisions IF NOT EXISTS "
                "FOR (n:Revision) REQUIRE (n.space, n.entry_id, n.since) IS UNIQUE"
            ),
            "CREATE INDEX facts IF NOT EXISTS FOR (n:Fact) ON (n.space, n.relation, n.entry_id)",
            "CREATE INDEX rules IF NOT EXISTS FOR (n:Rule) ON (n.space, n.entry_id)",
            (
                "CREATE CONSTRAINT concepts IF NOT EXISTS "
                "FOR (n:Concept) REQUIRE (n.space, n.key) IS UNIQUE"
            ),
            "CREATE INDEX about IF NOT EXISTS FOR ()-[r:ABOUT]-() ON (r.space, r.key, r.entry_id)",
            "CREATE INDEX edges IF NOT EXISTS FOR ()-[r:FACT]-() ON (r.space, r.entry_id)",
            "CREATE CONSTRAINT entries IF NOT EXISTS FOR (n:Entry) REQUIRE n.id IS UNIQUE",
            (
                "CREATE CONSTRAINT edits IF NOT EXISTS "
                "FOR (n:Edit) REQUIRE (n.entry_id, n.revision) IS UNIQUE"
            ),
            "CREATE INDEX batches IF NOT EXISTS FOR (n:Edit) ON (n.batch)",
            (
                "CREATE CONSTRAINT use_counts IF NOT EXISTS "
                "FOR (n:UseCount) REQUIRE n.entry_id IS UNIQUE"
            ),
        ),
    ),
)
"""Name and statements of each migration; its number is its place, from 1. Append only.

Each statement runs in a transaction of its own and may run twice.
"""

APPLIED = "MATCH (m:Migration) RETURN m.number AS number ORDER BY number"

NOTE_MIGRATION = """
MERGE (m:Migration {number: $number})
ON CREATE SET m.name = $name, m.applied_at = datetime()
"""

AWAIT_INDEXES = "CALL db.awaitIndexes($seconds)"

# What is read of a node

_ENTRY = "{.entry_id, .revision, .kind, .task, .question, .body, .source, .provenance, .concepts}"
_RELEASE = (
    "{.name, .checksum, .entries, .embedding_model, .embedding_checksum, .dimension, "
    ".provenance, .parent, .description}"
)
_ORIGIN = "{.name, .provenance, .loaded_at}"
_ACTIVE = "MATCH (:Active {id: 1})-[:SEES]->(release:Release)"


def _holds(node: str, release: str = "release") -> str:
    return f"{node}.since <= {release}.number AND {node}.until > {release}.number"


# Searching

_PASSES = (
    f"{_holds('node')} AND ($task = '' OR node.task = $task) AND node.kind IN $kinds "
    "AND ($exclude = '' OR node.source <> $exclude)"
)

_TEXT_LEG = f"""
CALL (release) {{
  WITH release WHERE $words <> ''
  CALL db.index.fulltext.queryNodes('texts_' + release.space, $words, {{limit: $fetch_texts}})
  YIELD node, score
  WITH release, node, score ORDER BY score DESC, node.entry_id
  RETURN count(*) AS texts_seen, collect(CASE WHEN {_PASSES} THEN node END)[..$depth] AS said
}}
"""

_INDEXED_LEGS = f"""
CALL (release) {{
  WITH release WHERE $use_vectors AND release.dimension = size($vector)
  CALL db.index.vector.queryNodes('vectors_' + release.space, $fetch_vectors, $vector)
  YIELD node, score
  WITH release, node, score ORDER BY score DESC, node.entry_id
  RETURN count(*) AS vectors_seen, collect(CASE WHEN {_PASSES} THEN node END)[..$depth] AS near
}}
{_TEXT_LEG}
"""

_FUSION = f"""
CALL (near, said) {{
  CALL (near, said) {{
    UNWIND CASE near WHEN [] THEN [] ELSE range(1, size(near)) END AS rank
    RETURN near[rank - 1] AS node, rank AS vector, null AS lexical
    UNION ALL
    UNWIND CASE said WHEN [] THEN [] ELSE range(1, size(said)) END AS rank
    RETURN said[rank - 1] AS node, null AS vector, rank AS lexical
  }}
  WITH node, max(vector) AS vector, max(lexical) AS lexical
  WITH node, vector, lexical,
    coalesce($vector_weight / ($rank_constant + vector), 0.0)
    + coalesce($lexical_weight / ($rank_constant + lexical), 0.0) AS score
  ORDER BY score DESC, coalesce(vector, size(near) + lexical) LIMIT $k
  RETURN collect({{node: node, entry: node {_ENTRY}, score: score, vector: vector,
    lexical: lexical}}) AS best
}}
"""

_RELATED = f"""
CALL (release, best) {{
  WITH release, best WHERE $max_related > 0 AND release.linked
  CALL (best) {{
    UNWIND best AS hit
    WITH hit.node AS n
    MATCH (n)-[:ABOUT]->(concept:Concept)
    RETURN collect(DISTINCT concept.key) AS keys
  }}
  UNWIND $seeds + keys AS key
  WITH DISTINCT release, best, key
  CALL (release, key) {{
    MATCH (n:Revision)-[about:ABOUT]->()
    USING INDEX about:ABOUT(space, key, entry_id)
    WHERE about.space = release.space AND about.key = key AND about.entry_id >= ''
      AND {_holds("n")}
    RETURN n ORDER BY about.space, about.key, about.entry_id LIMIT $per_concept
  }}
  WITH best, n, count(*) AS shared
  WHERE NOT any(hit IN best WHERE hit.node = n) AND ($exclude = '' OR n.source <> $exclude)
  ORDER BY shared DESC, n.entry_id LIMIT $max_related
  RETURN collect(n {_ENTRY}) AS related
}}
"""

_LOOKUP = f"""
MATCH (release)-[:IN]->(space:Space)
RETURN release {_RELEASE} AS release, space.key AS space, space.rows AS rows,
  vectors_seen, texts_seen, size(near) AS vectors_found, size(said) AS texts_found, related,
  [hit IN best | hit {{.entry, .score, .vector, .lexical}}] AS found
"""

SEARCH = _ACTIVE + _INDEXED_LEGS + _FUSION + _RELATED + _LOOKUP
"""Both legs, filters, fusion and graph. Each leg takes its `fetch` from an index, then filters.

The fusion is `ranking.fuse`, the graph's part `graph.related`; contract tests compare them.
"""


def exact_search(space: int, kinds: Iterable[EntryKind], *, by_task: bool) -> str:
    """As SEARCH, but the vector leg filters first, and compares all that is left."""
    labels = "|".join(sorted(kind.value.capitalize() for kind in kinds))
    of_task = "node.task = $task AND" if by_task else ""
    legs = f"""
CALL (release) {{
  MATCH (node:Space{space:d}&({labels})) WHERE $use_vectors AND {of_task} {_PASSES}
  WITH node, vector.similarity.cosine(node.vector, $vector) AS score
  ORDER BY score DESC, node.entry_id LIMIT $depth
  RETURN count(*) AS vectors_seen, collect(node) AS near
}}
{_TEXT_LEG}
"""
    same = f" WHERE release.space = {space:d}"
    return _ACTIVE + same + legs + _FUSION + _RELATED + _LOOKUP


FACTS = f"""
{_ACTIVE}
UNWIND $relations AS relation
CALL (release, relation) {{
  MATCH (n:Fact) USING INDEX n:Fact(space, relation, entry_id)
  WHERE n.space = release.space AND n.relation = relation AND n.entry_id >= '' AND {_holds("n")}
  RETURN n ORDER BY n.space, n.relation, n.entry_id LIMIT $limit
}}
RETURN n {_ENTRY} AS entry
"""

# Releases

ACTIVE = f"{_ACTIVE} RETURN release {_RELEASE} AS release"

PREVIOUS = f"""
MATCH (:Active {{id: 1}})-[:CURRENT]->(:Activation)-[:PREVIOUS]->(c:Activation)
MATCH (c)-[:OF]->(release:Release)
RETURN release {_RELEASE} AS release
"""

RELEASES = f"""
MATCH (r:Release) WHERE r.complete
RETURN r {_RELEASE} AS release ORDER BY r.sequence
"""
"""In the order of their loads: the sort needs another name than the result, which it would see."""

RELEASE = f"""
MATCH (release:Release {{name: $name}}) WHERE release.complete
RETURN release {_RELEASE} AS release, release.space AS space, release.number AS number
"""

_BY_ID = "USING INDEX n:Revision(space, entry_id, since)"
"""Reads in the index's order: ids by code points. A sort would go by UTF-16 units."""

_OF_SPACE = "n.space = $space AND n.since <= $number AND n.until > $number"

ENTRIES = f"""
MATCH (n:Revision) {_BY_ID} WHERE {_OF_SPACE} AND n.entry_id > $after
RETURN n {_ENTRY} AS entry, n.vector AS vector ORDER BY n.space, n.entry_id LIMIT $limit
"""

CHECKSUMS = f"""
MATCH (n:Revision) {_BY_ID} WHERE {_OF_SPACE} AND n.entry_id > $after
WITH n ORDER BY n.space, n.entry_id LIMIT $limit
RETURN collect(n.entry_id) AS ids, collect(n.checksum) AS checksums
"""

RELEASED = f"""
UNWIND $ids AS id
MATCH (n:Revision) {_BY_ID} WHERE n.entry_id = id AND {_OF_SPACE}
RETURN n {_ENTRY} AS entry
"""

RULES = f"""
MATCH (n:Rule) USING INDEX n:Rule(space, entry_id) WHERE {_OF_SPACE} AND n.entry_id >= ''
RETURN n {_ENTRY} AS entry ORDER BY n.space, n.entry_id
"""

RELATIONS = f"MATCH (n:Fact) WHERE {_OF_SPACE} RETURN DISTINCT n.relation AS relation"

# Loading

CLAIM_LOADS = """
MERGE (c:Counter {name: 'loads'}) SET c.value = coalesce(c.value, 0) + 1
RETURN c.value AS number
"""
"""Begins each transaction that begins, ends or removes a load: they take turns."""

UNFINISHED = """
MATCH (r:Release {name: $name}) WHERE NOT r.complete
RETURN r {.*} AS release, timestamp() - r.beat < $lease_ms AS is_alive
"""

BEGIN_RELEASE = """
CREATE (space:Space {key: $number, rows: 0})
CREATE (r:Release)-[:IN]->(space)
SET r = $release, r.space = $number, r.number = 0, r.complete = false, r.linked = false,
  r.written = 0, r.last_id = ''
"""

TAKE_OVER = """
MATCH (r:Release {name: $name}) SET r.writer = $writer, r.beat = timestamp()
RETURN r.space AS space, r.written AS written, r.last_id AS last_id
"""

_GIVE_UP = "REMOVE r:Release SET r:Abandoned, r.beat = 0"

ABANDON = f"MATCH (r:Release {{name: $name}}) WHERE NOT r.complete {_GIVE_UP}"

ABANDON_OWN = f"""
MATCH (r:Release {{name: $name}}) WHERE NOT r.complete AND r.writer = $writer {_GIVE_UP}
"""

ABANDON_OTHERS = f"""
MATCH (r:Release)
WHERE NOT r.complete AND r.name <> $name AND timestamp() - r.beat >= $lease_ms {_GIVE_UP}
"""

CLAIM_ABANDONED = """
MATCH (r:Abandoned) WHERE timestamp() - r.beat >= $lease_ms
SET r.beat = timestamp() RETURN r.space AS space
"""

REMOVE_CONCEPTS = """
MATCH (c:Concept {space: $space})
CALL (c) { DETACH DELETE c } IN TRANSACTIONS OF 2000 ROWS
"""

REMOVE_SPACE = """
MATCH (r:Abandoned {space: $space}) DETACH DELETE r
WITH count(*) AS done
MATCH (s:Space {key: $space}) DETACH DELETE s
"""

ADVANCE = """
MATCH (r:Release {name: $name}) SET r.beat = timestamp()
WITH r, r.writer = $writer AND r.written = $start AS is_next
FOREACH (_ IN CASE WHEN is_next THEN [1] ELSE [] END |
  SET r.written = $start + $count, r.last_id = $last_id, r.linked = r.linked OR $linked)
RETURN is_next, r.writer = $writer AS is_ours
"""
"""Notes a batch before it is written, in the same transaction.

Setting the beat takes the node's lock; what is read after that is what holds. A batch that
is there already, because its transaction runs a second time, is not `is_next`.
"""

BEAT = "MATCH (r:Release {name: $name}) WHERE r.writer = $writer SET r.beat = timestamp()"

LET_GO = "MATCH (r:Release {name: $name}) WHERE r.writer = $writer SET r.beat = 0"

FINISH = """
MATCH (r:Release {name: $name})-[:IN]->(space:Space) SET r.beat = timestamp()
WITH r, space WHERE r.writer = $writer
SET r += $release, r.complete = true, r.sequence = $sequence, r.loaded_at = $at,
  space.rows = r.written
REMOVE r.writer, r.beat, r.written, r.last_id
RETURN r.space AS space
"""

LOADED_ROWS = """
MATCH (r:Release {name: $name, checksum: $checksum, embedding_checksum: $embedding_checksum,
  entries: $entries, dimension: $dimension}) WHERE NOT r.complete
RETURN r.written AS written
"""


def create_revisions(space: int, kind: EntryKind) -> str:
    """Creates revisions from `rows`, each a map of a node's properties."""
    return (
        f"UNWIND $rows AS row CREATE (n:Revision:Space{space:d}:{kind.value.capitalize()}) "
        "SET n = row"
    )


LINK_CONCEPTS = """
UNWIND $links AS link
MATCH (n:Revision {space: $space, entry_id: link.entry_id, since: $since})
MERGE (c:Concept {space: $space, key: link.key})
CREATE (n)-[about:ABOUT]->(c)
SET about += link.indexed
"""
"""`indexed` is what the graph's hop looks up: empty for notes, which it never reaches."""

DRAW_FACTS = """
UNWIND $facts AS fact
MATCH (a:Concept {space: $space, key: fact.subject}), (b:Concept {space: $space, key: fact.object})
CREATE (a)-[:FACT {space: $space, relation: fact.relation, entry_id: fact.entry_id,
  since: $since, until: $until}]->(b)
"""


def remove_revisions(space: int) -> str:
    """Removes the revisions of a space, a few at a time."""
    return f"MATCH (n:Space{space:d}) CALL (n) {{ DETACH DELETE n }} IN TRANSACTIONS OF 2000 ROWS"


def index_names(space: int) -> list[str]:
    """Names of a space's own indexes."""
    return [f"vectors_{space:d}", f"texts_{space:d}", f"filters_{space:d}"]


def create_indexes(space: int, dimension: int) -> list[str]:
    """One statement per index of a space.

    Vectors are kept whole: quantised, as is the server's default, six in ten of the first ten
    neighbours stood in another place than in a full comparison.
    """
    vectors, texts, filters = index_names(space)
    return [
        (
            f"CREATE VECTOR INDEX {vectors} IF NOT EXISTS FOR (n:Space{space:d}) ON (n.vector) "
            f"OPTIONS {{indexConfig: {{`vector.dimensions`: {dimension:d}, "
            "`vector.similarity_function`: 'cosine', `vector.quantization.enabled`: false}}"
        ),
        (
            f"CREATE FULLTEXT INDEX {texts} IF NOT EXISTS FOR (n:Space{space:d}) "
            "ON EACH [n.searched] OPTIONS {indexConfig: {`fulltext.analyzer`: 'english'}}"
        ),
        f"CREATE INDEX {filters} IF NOT EXISTS FOR (n:Space{space:d}) ON (n.task, n.kind)",
    ]


def drop_indexes(space: int) -> list[str]:
    """One statement per index of a space."""
    return [f"DROP INDEX {name} IF EXISTS" for name in index_names(space)]


INDEX_STATES = """
SHOW INDEXES YIELD name, state, populationPercent, failureMessage WHERE name IN $names
"""

# Deriving

LOCK_SPACE = "MATCH (space:Space {key: $space}) SET space.lock = $writer"

NEWEST_NUMBER = """
MATCH (r:Release) WHERE r.space = $space AND r.number >= 0 RETURN max(r.number) AS number
"""


def end_what_base_lacks(space: int) -> str:
    """Ends at `number` what the newest release holds and the base does not."""
    return f"""
MATCH (n:Space{space:d}) WHERE n.since > $base AND n.until = $forever
SET n.until = $number
WITH n WHERE n:Fact
MATCH ()-[edge:FACT]->() WHERE edge.space = $space AND edge.entry_id = n.entry_id
  AND edge.until = $forever
SET edge.until = $number
"""


def bring_back_from_base(space: int) -> str:
    """Reads what the base holds and the newest release does not."""
    return f"""
MATCH (n:Space{space:d}) WHERE n.since <= $base AND n.until > $base AND n.until < $forever
RETURN n {_ENTRY} AS entry, n.vector AS vector
"""


END_REVISIONS = f"""
UNWIND $ids AS id
MATCH (n:Revision) {_BY_ID}
WHERE n.space = $space AND n.entry_id = id AND n.since <= $number AND n.until = $forever
SET n.until = $number
WITH n WHERE n:Fact
MATCH ()-[edge:FACT]->() WHERE edge.space = $space AND edge.entry_id = n.entry_id
  AND edge.until = $forever
SET edge.until = $number
"""

CREATE_DERIVED = """
MATCH (space:Space {key: $space}), (base:Release {name: $base})
CREATE (r:Release)-[:IN]->(space)
SET r = $release, r.space = $space, r.number = $number, r.complete = true,
  r.linked = base.linked OR $linked, r.sequence = $sequence, r.loaded_at = $at,
  space.rows = space.rows + $created
"""

# Activating

LOCK_ACTIVE = """
MERGE (a:Active {id: 1}) SET a.locked = true
WITH a
OPTIONAL MATCH (a)-[:CURRENT]->(c:Activation)-[:OF]->(release:Release)
RETURN c.token AS token, release {.*} AS release
"""

_SWITCH = """
CREATE (n:Activation)-[:OF]->(release)
SET n = $activation
DELETE current, sees
CREATE (a)-[:CURRENT]->(n), (a)-[:SEES]->(release)
FOREACH (p IN [x IN [previous] WHERE x IS NOT NULL] | CREATE (n)-[:PREVIOUS]->(p))
"""

ACTIVATE = f"""
MATCH (a:Active {{id: 1}}), (release:Release {{name: $name}}) WHERE release.complete
OPTIONAL MATCH (a)-[current:CURRENT]->(c:Activation)
OPTIONAL MATCH (c)-[:PREVIOUS]->(before:Activation)
OPTIONAL MATCH (a)-[sees:SEES]->(seen:Release)
WITH a, release, current, sees, CASE WHEN seen = release THEN before ELSE c END AS previous
{_SWITCH}
RETURN release {_RELEASE} AS release
"""

ROLL_BACK = f"""
MATCH (a:Active {{id: 1}})-[current:CURRENT]->(:Activation)-[:PREVIOUS]->(c:Activation)
MATCH (c)-[:OF]->(release:Release)
MATCH (a)-[sees:SEES]->(:Release)
OPTIONAL MATCH (c)-[:PREVIOUS]->(previous:Activation)
{_SWITCH}
RETURN release {_RELEASE} AS release
"""

# Uses

ADD_USES = """
UNWIND $uses AS use
MERGE (u:UseCount {entry_id: use.entry_id})
SET u.retrieved = coalesce(u.retrieved, 0) + use.retrieved,
  u.right = coalesce(u.right, 0) + use.right, u.wrong = coalesce(u.wrong, 0) + use.wrong
"""

USES = """
MATCH (u:UseCount) WHERE u.entry_id IN $ids
RETURN u.entry_id AS id, u.retrieved AS retrieved, u.right AS right, u.wrong AS wrong
"""

# Editing

_EDIT = _ENTRY[:-1] + ", .status, .action, .actor, .reason, .batch, .at, .redirect_to}"

# The release that brought this content first stands for all that hold it.
_FIRST_HELD = f"""
CALL (n) {{
  MATCH (s:Space)
  MATCH (m:Revision {{space: s.key, entry_id: n.entry_id}}) WHERE m.checksum = n.checksum
  MATCH (o:Release) WHERE o.space = m.space AND o.number = m.since AND o.complete
  RETURN o {_ORIGIN} AS origin ORDER BY o.sequence LIMIT 1
}}
"""

NEWEST_EDIT = f"""
MATCH (:Entry {{id: $id}})-[:NEWEST]->(n:Edit) RETURN n {_EDIT} AS entry
"""

NEWEST_LOADED = f"""
{_ACTIVE}
MATCH (n:Revision) WHERE n.space = release.space AND n.entry_id = $id AND {_holds("n")}
{_FIRST_HELD}
RETURN n {_ENTRY} AS entry, origin
"""

EDITS_OF_ENTRY = f"""
MATCH (n:Edit) WHERE n.entry_id = $id AND n.revision > 0
RETURN n {_EDIT} AS entry, n.checksum AS checksum
"""

LOADED_OF_ENTRY = f"""
MATCH (s:Space)
MATCH (n:Revision {{space: s.key, entry_id: $id}})
MATCH (o:Release) WHERE o.space = n.space AND o.number = n.since AND o.complete
RETURN n {_ENTRY} AS entry, n.checksum AS checksum, o {_ORIGIN} AS origin ORDER BY o.sequence
"""

BATCH = f"""
MATCH (n:Edit) WHERE n.batch = $batch RETURN n {_EDIT} AS entry ORDER BY n.position
"""

FINISHED_EDITS = f"""
MATCH (e:Entry)
CALL (e) {{
  MATCH (e)-[:HAS_REVISION]->(n:Edit) WHERE n.status IN $statuses
  RETURN n ORDER BY n.revision DESC LIMIT 1
}}
RETURN n {_EDIT} AS entry
"""

LOCK_EDITS = """
MERGE (c:Counter {name: 'edits'}) SET c.locked = true RETURN coalesce(c.value, 0) AS position
"""
"""Edits take turns: who holds this lock sees all that were made before."""

CURRENT_STATES = f"""
UNWIND $ids AS id
OPTIONAL MATCH (:Entry {{id: id}})-[:NEWEST]->(edit:Edit)
OPTIONAL {_ACTIVE}
OPTIONAL MATCH (n:Revision)
WHERE edit IS NULL AND n.space = release.space AND n.entry_id = id AND {_holds("n")}
RETURN id, coalesce(edit.revision, n.revision) AS revision,
  coalesce(edit.checksum, n.checksum) AS checksum, edit.call AS call, edit IS NULL AS is_loaded
"""

CREATE_EDITS = """
MATCH (c:Counter {name: 'edits'}) SET c.value = $position
WITH c
UNWIND $edits AS edit
MERGE (e:Entry {id: edit.entry_id})
CREATE (e)-[:HAS_REVISION]->(n:Edit)
SET n = edit
WITH e, n
OPTIONAL MATCH (e)-[newest:NEWEST]->(:Edit)
DELETE newest
CREATE (e)-[:NEWEST]->(n)
"""

_WANTED = """
n.kind IN $kinds AND ($task = '' OR n.task = $task)
AND all(word IN $words WHERE n.said CONTAINS word)
"""

_WANTED_EDITS = f"""
MATCH (e:Entry)-[:NEWEST]->(n:Edit) USING INDEX e:Entry(id)
WHERE e.id > $after AND {_WANTED} AND n.status IN $statuses AND ($batch = '' OR n.batch = $batch)
"""

_UNEDITED = f"""
{_ACTIVE}
CALL () {{ MATCH (e:Entry) RETURN collect(e.id) AS edited }}
"""

_WANTED_LOADED = f"""
MATCH (n:Revision) {_BY_ID}
WHERE n.space = release.space AND n.entry_id > $after AND {_holds("n")}
  AND NOT n.entry_id IN edited AND {_WANTED}
"""

FIND_EDITS = f"""
{_WANTED_EDITS}
RETURN n {_EDIT} AS entry ORDER BY e.id LIMIT $limit
"""

FIND_LOADED = f"""
{_UNEDITED}
CALL (release, edited) {{
  {_WANTED_LOADED}
  RETURN n ORDER BY n.space, n.entry_id LIMIT $limit
}}
{_FIRST_HELD}
RETURN n {_ENTRY} AS entry, origin
"""

COUNT_EDITS = f"""
{_WANTED_EDITS}
RETURN n.kind AS kind, n.status AS status, n.task AS task, count(*) AS number
"""

COUNT_LOADED = f"""
{_UNEDITED}
{_WANTED_LOADED}
RETURN n.kind AS kind, 'accepted' AS status, n.task AS task, count(*) AS number
"""
