"""The Neo4j store: releases, edits and the graph on a Neo4j server, 5.26 or newer."""
