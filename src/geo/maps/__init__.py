"""Maps and pictures for people."""
