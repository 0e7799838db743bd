"""Realization runs: one attempt to turn a part of a charge into a settled amount; one stream per run."""
