"""The reasoning pipeline and the confidence gate."""
