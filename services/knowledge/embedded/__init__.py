"""The embedded store: one SQLite file, searched in memory."""
