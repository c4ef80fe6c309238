"""Answers of a model to a benchmark: reading sets, making one, asking."""
