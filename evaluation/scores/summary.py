"""The result file that every score command writes: where it comes from, then the figures.

This module imports neither torch nor the training code, so that scoring works
on a machine that only holds the answers.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

REPO = Path(__file__).resolve().parents[2]
PACKAGES = ("numpy", "scipy", "matplotlib")


def origin(args: argparse.Namespace, started: float, module: str) -> dict[str, Any]:
    """Commit, command, arguments, versions, hardware, seed and seconds of a result.

    Absolute paths are cut to their last two parts: a result names its files, not a machine.

    Args:
        args: of the command, with ``seed``.
        started: ``time.time()`` at the start.
        module: of the command, for example "evaluation.scores.rule_scores".
    """
    git = ["git", "-C", str(REPO), "rev-parse", "HEAD"]
    commit = subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip()
    return {
        "commit": commit or None,
        "command": " ".join(["python -m", module, *map(short_path, sys.argv[1:])]),
        "args": {key: _plain(value) for key, value in vars(args).items()},
        "versions": {"python": platform.python_version()} | {name: version(name) for name in PACKAGES},
        "hardware": {"cpu": platform.processor() or platform.machine(), "cores": os.cpu_count()},
        "seed": args.seed,
        "seconds": round(time.time() - started, 2),
    }


def short_path(text: str) -> str:
    """An absolute path cut to its last two parts; anything else as it is."""
    return "/".join(Path(text).parts[-2:]).lstrip("/") if os.path.isabs(text) else text


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value if value is None or isinstance(value, bool | int | float) else short_path(str(value))


def summary(
    *,
    valid_rate: float | None,
    scores: dict[str, Any],
    majority: dict[str, Any] | None,
    blind: dict[str, Any] | None,
    shuffled: dict[str, Any] | None,
    **details: Any,
) -> dict[str, Any]:
    """The figures of report.json in one fixed shape.

    Args:
        valid_rate: share of the questions with an answer (or a mark) that can be scored, 0..1.
        scores: figures {"value", "ci95"} by name.
        majority: the same figures of the most frequent answer; None where not at hand.
        blind: of the model without pictures.
        shuffled: of the model with the pictures of other questions.
        details: further blocks, after these.

    Returns:
        The blocks, with ``floors_missing``: the floors that are None, so that nobody takes silence for a zero.
    """
    floors = {"majority": majority, "blind": blind, "shuffled": shuffled}
    missing = [name for name, value in floors.items() if value is None]
    return {"valid_rate": valid_rate, "scores": scores, **floors, "floors_missing": missing, **details}


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Write a result in one step: a reader sees the old file or the new one, never half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(value, ensure_ascii=False, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    part.replace(path)
