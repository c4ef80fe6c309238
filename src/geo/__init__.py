"""Georeferenced imagery and measurement; never imports torch."""
