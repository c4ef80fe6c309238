"""Finding the checkpoint to resume from after a run was killed at any moment."""

import json
import logging
import re
import shutil
from pathlib import Path

logger = logging.getLogger(__name__)

_FOLDER = re.compile(r"checkpoint-(\d+)")
_STATE = "trainer_state.json"


def is_complete(checkpoint: Path) -> bool:
    """Whether a checkpoint folder was written to its end.

    The trainer writes trainer_state.json last, after weights, optimizer and
    random states, so a state that parses and names the folder's step proves
    the rest.
    """
    step = int(_FOLDER.fullmatch(checkpoint.name).group(1))  # type: ignore[union-attr]
    try:
        state = json.loads((checkpoint / _STATE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return state.get("global_step") == step


def last_complete_checkpoint(output_dir: str | Path) -> str | None:
    """Newest complete checkpoint under a run's folder; removes unfinished ones.

    Args:
        output_dir: folder of the run.

    Returns:
        Path of the checkpoint, or None where a run starts afresh.
    """
    folder = Path(output_dir)
    if not folder.is_dir():
        return None
    found = sorted(
        (path for path in folder.iterdir() if path.is_dir() and _FOLDER.fullmatch(path.name)),
        key=lambda path: int(path.name.split("-")[1]),
    )
    complete = [path for path in found if is_complete(path)]
    for path in found:
        if path not in complete:
            logger.warning("removing %s: the run was killed while writing it", path)
            shutil.rmtree(path, ignore_errors=True)
    return str(complete[-1]) if complete else None
