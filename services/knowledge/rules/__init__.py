"""Rules that are executed: their language, what is refused, evaluation with proofs, inference."""
