"""The Word report of a run."""
