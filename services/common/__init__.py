"""The pure layer: records, prompts, answers, errors, settings, logs, metrics."""
