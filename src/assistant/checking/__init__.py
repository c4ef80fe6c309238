"""Proving every statement of a text in its evidence."""
