"""One converter per input format, and the rule that tells the formats apart."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from src.dataset.converters.coco_caption import COCO_CAPTION
from src.dataset.converters.common import TURN_KEYS, Converter, Row, raw_turns
from src.dataset.converters.csv_caption import CSV_CAPTION
from src.dataset.converters.llava import LLAVA
from src.dataset.converters.mmdu import MMDU
from src.dataset.converters.ms_swift import MS_SWIFT
from src.dataset.converters.openai import OPENAI
from src.dataset.converters.qwen_vl import QWEN_VL
from src.dataset.converters.rsvqa import RSVQA
from src.errors import InputError

CONVERTERS: dict[str, Converter] = {
    "llava": LLAVA,
    "mmdu": MMDU,
    "qwen_vl": QWEN_VL,
    "coco_caption": COCO_CAPTION,
    "ms_swift": MS_SWIFT,
    "openai": OPENAI,
    "rsvqa": RSVQA,
    "csv_caption": CSV_CAPTION,
}


def detect_format(path: Path, first_rows: Sequence[Any]) -> str:
    """Name the format of a file from a sample of its rows.

    A format is recognised by its placeholder or shape; rows without media are
    told apart by their keys and roles, where any choice reads the same text.

    Args:
        path: the file, for messages.
        first_rows: parsed rows; values that are no objects are ignored.

    Raises:
        InputError: rows of several formats, or of none.
    """
    rows = [row for row in first_rows if isinstance(row, dict)]
    found = [name for name, converter in CONVERTERS.items() if any(converter.matches(row) for row in rows)]
    if len(found) > 1:
        raise InputError(f"{path}: ambiguous format, the rows look like {' and like '.join(found)}; set --data_format")
    if found:
        return found[0]
    for row in rows:
        fallback = _format_of_text_row(row)
        if fallback:
            return fallback
    keys = sorted(map(str, rows[0])) if rows else "no object"
    raise InputError(f"{path}: unknown format, the first row has {keys}; expected one of {', '.join(CONVERTERS)}")


def _format_of_text_row(row: Row) -> str | None:
    try:
        turns = raw_turns(row)
    except InputError:
        return None
    if "messages" in row:
        return "ms_swift"
    written = {turn.get("from", turn.get("role")) for key in TURN_KEYS for turn in row.get(key, ())}
    return "mmdu" if turns and written <= {"system", "user", "assistant"} else "llava"
