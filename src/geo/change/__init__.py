"""Change between two dates: common ground, spectral change, persistence."""
