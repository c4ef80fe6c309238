"""Answering users."""
