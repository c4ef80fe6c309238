"""Offsets of the rows of a file, so that a data set is never held in memory.

A file is scanned once in blocks; afterwards a row costs one seek, one read and
one parse. Read here: JSON arrays, JSON objects of rows, one array under a key
of an object (RSVQA), JSON lines, CSV. The number of bytes held is 16 per row.
"""

import csv
import io
import json
import re
from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from src.errors import InputError, MissingPathError

_BLOCK_BYTES = 1 << 22
# A string (group 1 is empty where the block cuts it), or a structural character.
_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*("?)|[{}\[\],]', re.DOTALL)
_MEMBER = re.compile(rb'\s*("[^"\\]*(?:\\.[^"\\]*)*")\s*:', re.DOTALL)
_BOM = b"\xef\xbb\xbf"


def parse_json(raw: bytes) -> Any:
    """One JSON row.

    Raises:
        InputError: the bytes are no JSON value.
    """
    try:
        return json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise InputError(f"invalid JSON: {error}") from error


@dataclass(frozen=True)
class CsvRow:
    """Parses one CSV record under the columns of its file."""

    columns: tuple[str, ...]

    def __call__(self, raw: bytes) -> dict[str, str]:
        """The record as {column: text}.

        Raises:
            InputError: not UTF-8, or another number of fields than the header has.
        """
        try:
            fields = next(csv.reader(io.StringIO(raw.decode("utf-8"), newline="")))
        except UnicodeDecodeError as error:
            raise InputError(f"the text is not UTF-8 ({error.reason}): save the CSV file as UTF-8") from error
        if len(fields) != len(self.columns):
            raise InputError(f"{len(fields)} fields, expected {len(self.columns)}: {', '.join(self.columns)}")
        return dict(zip(self.columns, fields, strict=True))


@dataclass(frozen=True)
class Records:
    """The rows of one file, by position.

    Args:
        path: the file; opened anew for every row, so that it may be used in forked and spawned workers.
        spans: int64 (rows, 2), first and last-plus-one byte of every row.
        parse: bytes of one row -> the row.
    """

    path: Path
    spans: np.ndarray
    parse: Callable[[bytes], Any] = parse_json

    def __len__(self) -> int:
        return len(self.spans)

    def read(self, index: int) -> Any:
        """One row, parsed.

        Raises:
            InputError: the row cannot be parsed.
        """
        start, end = (int(offset) for offset in self.spans[index])
        with self.path.open("rb") as file:
            file.seek(start)
            return self.parse(file.read(end - start))


def _spans(offsets: array) -> np.ndarray:
    return np.array(offsets, dtype=np.int64).reshape(-1, 2)


def index_records(path: Path) -> Records:
    """Find the rows of a CSV, JSON or JSON-lines file; the content decides, not the suffix.

    Raises:
        MissingPathError: no such file.
        InputError: the file is empty, or its JSON ends early.
    """
    if not path.is_file():
        raise MissingPathError(f"{path}: no such file; expected a JSON, JSONL or CSV file")
    if path.suffix.lower() == ".csv":
        return index_csv(path)
    first = _first_character(path)
    if not first:
        raise InputError(f"{path}: the file is empty, expected rows")
    if first == b"[":
        return Records(path, _spans(_scan_json(path)))
    if first == b"{" and not _is_json_lines(path):
        return Records(path, _spans(_values_only(path, _scan_json(path))))
    return Records(path, _spans(_scan_lines(path)))


def index_array(path: Path, key: str) -> Records:
    """Find the rows of the array under one key of a JSON object, as in {"questions": [...]}.

    Raises:
        MissingPathError: no such file.
        InputError: the object has no such key, or the value is no array.
    """
    if not path.is_file():
        raise MissingPathError(f"{path}: no such file; expected {{{key!r}: [...]}}")
    members = _scan_json(path)
    with path.open("rb") as file:
        for start in members[::2]:
            file.seek(start)
            head = file.read(4096)
            name = _MEMBER.match(head)
            if name and parse_json(name.group(1)) == key and head[name.end() :].lstrip()[:1] == b"[":
                return Records(path, _spans(_scan_json(path, start + head.index(b"[", name.end()))))
    raise InputError(f"{path}: no array under {key!r}; expected an RSVQA file {{{key!r}: [...]}}")


def index_csv(path: Path) -> Records:
    """Find the records of a CSV file with a header line; quoted fields may span lines."""
    ends = array("q")

    def lines(file: Iterable[bytes]) -> Iterator[str]:
        position = 0
        for line in file:
            position += len(line)
            ends.append(position)
            yield line.decode("latin-1")  # one character per byte: the csv module needs text, the offsets bytes

    offsets = array("q")
    with path.open("rb") as file:
        reader = csv.reader(lines(file))
        header = next(reader, None)
        start = ends[-1] if header else 0
        for fields in reader:
            if fields:
                offsets.extend((start, ends[-1]))
            start = ends[-1]
    if not header:
        raise InputError(f"{path}: the file is empty, expected a header line and rows")
    columns = "\x1f".join(header).encode("latin-1").removeprefix(_BOM).decode("utf-8", "replace").split("\x1f")
    return Records(path, _spans(offsets), CsvRow(tuple(column.strip() for column in columns)))


def _first_character(path: Path) -> bytes:
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            text = block.removeprefix(_BOM).lstrip()
            if text:
                return text[:1]
    return b""


def _is_json_lines(path: Path) -> bool:
    """True where the first line is an object by itself and is a row: more lines follow, or its values are plain."""
    with path.open("rb") as file:
        line = b""
        while not line.strip():
            line = file.readline(_BLOCK_BYTES).removeprefix(_BOM)
        try:
            value = json.loads(line)
        except ValueError:
            # A broken first row of a .jsonl file is that row's fault, not another format.
            return path.suffix.lower() == ".jsonl"
        more = any(rest.strip() for rest in file)
    return more or not all(isinstance(member, dict) for member in value.values())


def _scan_lines(path: Path) -> array:
    offsets = array("q")
    position = 0
    with path.open("rb") as file:
        for line in file:
            content = line.removeprefix(_BOM) if position == 0 else line
            position += len(line)
            if content.strip():
                offsets.extend((position - len(content), position))
    return offsets


def _scan_json(path: Path, start: int = 0) -> array:
    """Byte spans of the members of the first array or object at or after ``start``.

    Strings are skipped as wholes, so brackets and commas inside them do not
    count; a string that a block cuts is carried over to the next block.
    """
    offsets = array("q")
    level = 0
    member = 0
    base = start  # file offset of the buffer's first byte
    carry = b""
    with path.open("rb") as file:
        file.seek(start)
        while block := file.read(_BLOCK_BYTES):
            buffer = carry + block
            carry = b""
            for token in _TOKEN.finditer(buffer):
                character = buffer[token.start()]
                if character == 0x22:  # a string
                    if not token.group(1):
                        carry = buffer[token.start() :]
                        break
                elif character in b"[{":
                    level += 1
                    if level == 1:
                        member = base + token.end()
                elif character == 0x2C:  # a comma
                    if level == 1:
                        offsets.extend((member, base + token.start()))
                        member = base + token.end()
                else:
                    level -= 1
                    if level == 0:
                        _close(path, offsets, member, base + token.start())
                        return offsets
            base += len(buffer) - len(carry)
    raise InputError(f"{path}: the JSON ends inside its row {len(offsets) // 2}; is the file cut off?")


def _close(path: Path, offsets: array, member: int, end: int) -> None:
    """Add the last member, unless the brackets hold nothing."""
    with path.open("rb") as file:
        file.seek(member)
        if offsets or not file.read(min(end - member, _BLOCK_BYTES)).isspace() and end > member:
            offsets.extend((member, end))


def _values_only(path: Path, members: array) -> array:
    """Drop the key and colon of every member of an object."""
    offsets = array("q")
    with path.open("rb") as file:
        for start, end in zip(members[::2], members[1::2], strict=True):
            file.seek(start)
            name = _MEMBER.match(file.read(min(end - start, 4096)))
            offsets.extend((start + name.end() if name else start, end))
    return offsets
