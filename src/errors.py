"""Named errors, and the one rule that turns them into exit codes.

Every error that a user can cause derives from LandUseError and says what was
wrong, what was expected and what to change. Commands end through
``run_command``: 0 success, 1 a failed run, 2 bad input.
"""

import sys
from collections.abc import Callable


class LandUseError(Exception):
    """Base of all errors raised on purpose by this project."""

    exit_code = 2


class InputError(LandUseError, ValueError):
    """A value given by the user cannot be used."""


class MissingPathError(LandUseError, FileNotFoundError):
    """A file or folder named by the user does not exist."""


class BadRowError(InputError):
    """A row of a dataset cannot become a Conversation.

    Args:
        index: zero-based position of the row in its file.
        reason: what is wrong and what was expected.
        source: the file that holds the row, if known.
    """

    def __init__(self, index: int, reason: str, source: str | None = None) -> None:
        self.index, self.reason, self.source = index, reason, source
        where = f"{source}: " if source else ""
        super().__init__(f"{where}row {index}: {reason}")


class GridError(InputError):
    """Rasters or vectors do not share a usable grid, CRS or extent."""


class SensorError(InputError):
    """A sensor, its bands or its scaling are unknown or inconsistent."""


class LegendError(InputError):
    """A class code or a crosswalk is unknown."""


class RasterReadError(LandUseError, OSError):
    """A raster opens but its pixels cannot be read."""


class TrainingError(LandUseError, RuntimeError):
    """A run started with good input and failed (exit code 1)."""

    exit_code = 1


class VerificationError(TrainingError):
    """A self-check (doctor, merge) proved that the result would be wrong."""


def run_command(main: Callable[[], int | None]) -> None:
    """Run a command's main and exit with the project's exit codes.

    Args:
        main: parses sys.argv, does the work, returns an exit code or None.

    Raises:
        SystemExit: always; 0 success, 1 failed run, 2 bad input.
    """
    try:
        code = main()
    except LandUseError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    sys.exit(code or 0)
