"""Scenes as people have them: recognised, read, masked, ingested."""
