"""Any accepted data file as a sequence of conversations, read row by row.

The store keeps offsets, not rows: 45,000 dialogues cost under a megabyte and
pickle cheaply into DataLoader workers, where files are opened when a row is
read. All rows are checked once, at construction.
"""

import json
import logging
import os
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from src.dataset.converters import CONVERTERS, detect_format
from src.dataset.converters.rsvqa import RsvqaRecords, index_rsvqa, is_rsvqa
from src.dataset.images import image_size, is_remote
from src.dataset.records import Records, index_records
from src.dataset.schema import Conversation, check
from src.errors import BadRowError, InputError, MissingPathError

LOG = logging.getLogger(__name__)

# Rows looked at to tell the format, spread over the file.
_SAMPLE_ROWS = 100


@dataclass(frozen=True)
class _DataFile:
    """One file of a store: its rows, its format and where its media lie."""

    records: Records | RsvqaRecords
    format: str
    media_folder: Path
    allow_remote_images: bool

    def conversation(self, row: int) -> Conversation:
        """One row, converted and checked, with its media paths resolved.

        Raises:
            InputError: the reason why it cannot be used.
        """
        value = self.records.read(row)
        if not isinstance(value, dict):
            raise InputError(f"not an object: {type(value).__name__}, expected {{...}}")
        found = CONVERTERS[self.format].convert(value, str(row))
        check(found)
        return replace(
            found,
            images=tuple(self._resolve(path) for path in found.images),
            videos=tuple(self._resolve(path) for path in found.videos),
        )

    def _resolve(self, path: str) -> str:
        if is_remote(path):
            if not self.allow_remote_images:
                raise InputError(f"remote URL {path!r} without permission: set --allow_remote_images True")
            if not path.startswith(("http://", "https://")):
                raise InputError(f"URL {path!r}: only http and https are fetched")
            return path
        return str(self.media_folder / path.removeprefix("file://"))


class ConversationStore(Sequence[Conversation]):
    """A sequence of checked conversations from one or several data files.

    Args:
        data_path: a file (or RSVQA folder), or several joined by commas.
        image_folder: where relative media paths start; None means each data file's own folder.
        data_format: a key of CONVERTERS; None detects it per file.
        skip_bad_rows: leave bad rows out and count them instead of refusing the file.
        rejects_path: with skip_bad_rows, a JSONL file to write {source, index, reason} to.
        allow_remote_images: accept http and https image paths; they are fetched when loaded.
        check_headers: also read every image's header, not only look whether the file exists.
        allow_empty: do not raise when no usable row is left.

    Attributes:
        format: name of the format, or the names in file order joined by commas.
        rejects: the rows left out, as {source, index, reason}.
        duplicate_ids: number of rows whose id another row of the same file has too.

    Raises:
        MissingPathError: a data file or the image folder does not exist.
        BadRowError: the first bad row, unless skip_bad_rows.
        InputError: unknown or ambiguous format, or no usable row.
    """

    def __init__(
        self,
        data_path: str | Path,
        image_folder: str | Path | None = None,
        data_format: str | None = None,
        skip_bad_rows: bool = False,
        rejects_path: str | Path | None = None,
        allow_remote_images: bool = False,
        *,
        check_headers: bool = False,
        allow_empty: bool = False,
    ) -> None:
        if data_format is not None and data_format not in CONVERTERS:
            raise InputError(f"--data_format {data_format}: expected one of {', '.join(CONVERTERS)}")
        if image_folder is not None and not Path(image_folder).is_dir():
            raise MissingPathError(f"{image_folder}: no such image folder")
        folder = None if image_folder is None else Path(image_folder)
        paths = [Path(part.strip()) for part in str(data_path).split(",") if part.strip()]
        if not paths:
            raise InputError("--data_path is empty: give a data file, or several joined by commas")
        self.source = str(data_path)
        self._files = [_open(path, folder, data_format, allow_remote_images) for path in paths]
        self.format = ",".join(dict.fromkeys(file.format for file in self._files))
        self.rejects: list[dict[str, Any]] = []
        self.duplicate_ids = 0
        media = _MediaCheck(check_headers)
        # int32 (rows, 2): file number and row number of every usable row.
        self._rows = np.concatenate([self._check(number, media, skip_bad_rows) for number in range(len(self._files))])
        if skip_bad_rows and rejects_path is not None:
            _write_rejects(Path(rejects_path), self.rejects)
        if self.rejects:
            LOG.warning("%s: %d bad rows left out of %d", data_path, len(self.rejects), len(self) + len(self.rejects))
        if self.duplicate_ids:
            LOG.warning("%s: %d rows share their id with another row", data_path, self.duplicate_ids)
        if not len(self) and not allow_empty:
            first = f"; the first reason: {self.rejects[0]['reason']}" if self.rejects else ""
            raise InputError(f"{data_path}: no usable row of {len(self.rejects)}{first}")

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> Conversation:  # type: ignore[override]  # rows are read one by one
        if not isinstance(index, int | np.integer):
            raise TypeError(f"index is {type(index).__name__}, expected int")
        number, row = (int(value) for value in self._rows[index])
        file = self._files[number]
        try:
            return file.conversation(row)
        except InputError as error:
            raise BadRowError(row, str(error), str(file.records.path)) from error

    def origin(self, index: int) -> tuple[str, int]:
        """The file of a conversation and its row there."""
        number, row = (int(value) for value in self._rows[index])
        return str(self._files[number].records.path), row

    def _check(self, number: int, media: "_MediaCheck", skip_bad_rows: bool) -> np.ndarray:
        file = self._files[number]
        good = array("i")
        ids = array("q")
        rows = range(len(file.records))
        for row in tqdm(rows, desc=f"checking {file.records.path.name}", disable=len(rows) < 5000):
            try:
                conversation = file.conversation(row)
                media.check(conversation)
            except InputError as error:
                if not skip_bad_rows:
                    raise BadRowError(row, str(error), str(file.records.path)) from error
                self.rejects.append({"source": str(file.records.path), "index": row, "reason": str(error)})
                continue
            good.extend((number, row))
            ids.append(hash(conversation.id))
        self.duplicate_ids += len(ids) - len(np.unique(np.array(ids)))
        return np.array(good, dtype=np.int32).reshape(-1, 2)


class _MediaCheck:
    """Looks once at every media file that rows name."""

    def __init__(self, headers: bool) -> None:
        self._headers = headers
        self._good: set[int] = set()  # hashes: the paths themselves would be the largest thing in memory

    def check(self, conversation: Conversation) -> None:
        for path in conversation.images:
            self._look(path, self._headers)
        for path in conversation.videos:
            self._look(path, False)

    def _look(self, path: str, header: bool) -> None:
        key = hash(path)
        if key in self._good or is_remote(path):
            return
        if not os.path.isfile(path):
            raise InputError(f"missing file {path!r}: check --image_folder")
        if header:
            image_size(path)
        self._good.add(key)


def _open(path: Path, image_folder: Path | None, data_format: str | None, allow_remote_images: bool) -> _DataFile:
    if not path.exists():
        raise MissingPathError(f"{path}: no such data file")
    if data_format == "rsvqa" or (data_format is None and is_rsvqa(path)):
        rsvqa = index_rsvqa(path, image_folder)
        return _DataFile(rsvqa, "rsvqa", rsvqa.image_folder, allow_remote_images)
    records = index_records(path)
    name = data_format or detect_format(path, _sample(records))
    return _DataFile(records, name, image_folder or path.parent, allow_remote_images)


def _sample(records: Records) -> list[Any]:
    rows = []
    for row in np.unique(np.linspace(0, len(records) - 1, _SAMPLE_ROWS).astype(int)) if len(records) else ():
        try:
            rows.append(records.read(row))
        except InputError:
            continue  # a bad row; the check names it
    return rows


def _write_rejects(path: Path, rejects: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Several training processes may write the same file: each writes its own and renames it.
    partial = path.with_name(f"{path.name}.{os.getpid()}")
    partial.write_text("".join(json.dumps(reject, ensure_ascii=False) + "\n" for reject in rejects), encoding="utf-8")
    partial.replace(path)
