"""The doctor's report: verdicts, the printed lines and the JSON file."""

import json
import logging
import shlex
import sys
import textwrap
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from src.errors import LandUseError, MissingPathError

logger = logging.getLogger(__name__)

_WIDTH = 118
_INDENT = " " * 17


@dataclass(frozen=True)
class Check:
    """One verdict.

    Args:
        name: what was checked.
        status: "pass", "warn" or "fail".
        detail: the reason in words; further lines hold a table.
        figures: the numbers behind it.
    """

    name: str
    status: str
    detail: str
    figures: dict[str, Any] = field(default_factory=dict)


def verdict(
    name: str, summary: str, failures: Iterable[str] = (), warnings: Iterable[str] = (), **figures: Any
) -> Check:
    """Fail where anything failed, warn where anything is odd, else pass; reasons before the summary."""
    failures, warnings = list(failures), list(warnings)
    status = "fail" if failures else "warn" if warnings else "pass"
    return Check(name, status, "; ".join(part for part in [*failures, *warnings, summary] if part), figures)


def some(items: Sequence[Any], count: int = 3) -> str:
    """The first items as text, and how many more there are."""
    more = f" and {len(items) - count} more" if len(items) > count else ""
    return ", ".join(str(item) for item in items[:count]) + more


class Report:
    """Collects verdicts and prints each as soon as it is known."""

    def __init__(self, stage: str) -> None:
        self.stage, self.checks = stage, list[Check]()
        self._start = time.perf_counter()

    @property
    def failed(self) -> list[str]:
        """Names of the checks that failed."""
        return [check.name for check in self.checks if check.status == "fail"]

    def add(self, check: Check) -> None:
        """Note and print a verdict."""
        self.checks.append(check)
        first, *table = check.detail.splitlines() or [""]
        lines = textwrap.wrap(
            first,
            _WIDTH,
            initial_indent=f"{check.status.upper():<5}{check.name:<12}",
            subsequent_indent=_INDENT,
            drop_whitespace=True,
        )
        print("\n".join([*lines, *(_INDENT + line for line in table)]), flush=True)

    def attempt(self, name: str, action: Callable[..., Any], *args: Any) -> Any:
        """Run a step of a check; what it raises is a failure of that check, not of the doctor.

        Args:
            name: the check to blame.
            action: returns Check (noted) or anything else (handed back).
            args: its arguments.

        Returns:
            What action returned, or None where it raised.

        Raises:
            MissingPathError: a file or folder named by a flag does not exist.
        """
        try:
            result = action(*args)
        except MissingPathError:
            raise  # bad input: the command ends with exit code 2
        except LandUseError as error:
            self.add(Check(name, "fail", str(error)))
            return None
        except Exception as error:  # noqa: BLE001 - whatever breaks here would break the run, and is what to report
            logger.exception("the check %r broke", name)
            self.add(Check(name, "fail", f"{type(error).__name__}: {error}"))
            return None
        if isinstance(result, Check):
            self.add(result)
        return result

    def not_run(self, names: Sequence[str], needs: str) -> None:
        """Say which checks could not be made, and what they need."""
        for name in names:
            self.add(Check(name, "warn", f"not run: needs {needs}"))

    def write(self, path: Path, seed: int) -> None:
        """Write the verdicts and their figures as JSON."""
        record = {
            "command": shlex.join(["python", "-m", "src.train.doctor", *sys.argv[1:]]),
            "stage": self.stage,
            "ok": not self.failed,
            "seed": seed,
            "seconds": round(time.perf_counter() - self._start, 1),
            "versions": {name: version(name) for name in ("torch", "transformers", "trl", "peft")},
            "hardware": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
            "checks": [asdict(check) for check in self.checks],
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(record, ensure_ascii=False, indent=1), encoding="utf-8")
