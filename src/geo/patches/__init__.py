"""Suspected change patches: found, described, exported."""
