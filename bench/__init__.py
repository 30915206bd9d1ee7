"""Benchmarks: each measures ratios against a peer or a limit in one run."""
