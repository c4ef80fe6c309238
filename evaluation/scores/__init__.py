"""Scores of answers: rules, a judge and its checks, statistics."""
