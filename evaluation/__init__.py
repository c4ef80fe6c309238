"""Evaluation: the story, scores and benchmarks."""
