"""Symbolic knowledge distillation: from a student's errors to the entries of a dump."""
