"""Performance figures: each command prints a table, then one JSON line."""
