"""The parts that serve."""
