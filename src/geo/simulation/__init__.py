"""The parts of the simulated county: landscape, change, spectra, sensor, vectors and truth."""
