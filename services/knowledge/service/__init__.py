"""KnowledgeService: checks of its requests, its RPCs, and its messages to and from records."""
