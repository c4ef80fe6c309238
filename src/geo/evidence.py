"""The evidence record behind every sentence: what was asked, what was used, what was found, hashed.

``evidence.json`` holds everything that an answer may say. Its ``evidence_id``
is the SHA-256 of what went in (files, dates, parameters, versions of the
methods), its ``sha256`` that of everything else in the record: the same inputs
give the same record, byte for byte. No times of day and no paths of this
machine are in it.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from src.geo.raster import atomic_path

# Raise it when a method changes what the same inputs give.
METHOD_VERSION = "measure-1"


def digest(content: Any) -> str:
    """SHA-256 (hex) of a JSON value, independent of the order of keys."""
    return hashlib.sha256(_canonical(content)).hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 (hex) of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sealed(record: Mapping[str, Any]) -> dict[str, Any]:
    """The record with its own ``sha256``."""
    content = {key: value for key, value in record.items() if key != "sha256"}
    return content | {"sha256": digest(content)}


def is_sealed(record: Mapping[str, Any]) -> bool:
    """Whether a record is as it was written."""
    return record.get("sha256") == sealed(record)["sha256"]


def write_evidence(path: Path, record: Mapping[str, Any]) -> dict[str, Any]:
    """Seal a record and write it in one step; returns it as written."""
    final = sealed(record)
    with atomic_path(path) as partial:
        partial.write_text(json.dumps(final, ensure_ascii=False, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return final


def _canonical(content: Any) -> bytes:
    text = json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return text.encode("utf-8")
