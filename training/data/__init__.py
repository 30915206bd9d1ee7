"""Benchmarks as questions: reading, drawing, splitting, and cards that say what a file holds."""
