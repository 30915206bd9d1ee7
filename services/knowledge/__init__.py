"""The knowledge base: stores, embedder, ranking."""
