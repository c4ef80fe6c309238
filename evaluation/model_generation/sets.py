"""Benchmarks as dialogues to ask: any data file that training reads, with its rows in order and none left out.

A row that cannot be asked (a missing picture, roles out of order) stays in the
set with its reason, so that it is recorded as a failure and not forgotten.
"""

import functools
import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from src.dataset.converters import CONVERTERS
from src.dataset.images import image_size, load_image
from src.dataset.records import index_records
from src.dataset.schema import Conversation, Part
from src.dataset.store import ConversationStore
from src.errors import InputError

CONDITIONS = ("images", "blank", "shuffled")
# Mid-grey: what a picture is after normalisation with values near zero.
BLANK_RGB = (127, 127, 127)
_PICTURES_KEPT = 8


@dataclass(frozen=True)
class Question:
    """One turn of the user, and what the benchmark's author answered.

    Args:
        content: text and image parts in reading order.
        text: the text parts joined.
        reference: the author's answer.
    """

    content: tuple[Part, ...]
    text: str
    reference: str


@dataclass(frozen=True)
class Dialogue:
    """One row of a benchmark.

    Args:
        id: unique within the set, and a file name.
        questions: one for each turn.
        image_ids: pictures as paths below the image folder, in the order of the image parts.
        paths: files to show, in the same order; others than the dialogue's own in the condition "shuffled".
        system: text of the system turn, or "".
        question_type: as the benchmark says, or None.
        blank: show grey pictures of the same sizes.
        problem: why it cannot be asked, or "".
    """

    id: str
    questions: tuple[Question, ...]
    image_ids: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    system: str = ""
    question_type: str | None = None
    blank: bool = False
    problem: str = ""

    def pictures(self) -> list[Image.Image]:
        """The pictures to show.

        Raises:
            LandUseError: one cannot be read.
        """
        if self.blank:
            return [Image.new("RGB", image_size(path), BLANK_RGB) for path in self.paths]
        return [_picture(path) for path in self.paths]


# Neighbouring questions of RSVQA are about one picture.
@functools.lru_cache(maxsize=_PICTURES_KEPT)
def _picture(path: str) -> Image.Image:
    return load_image(path)


def read_set(
    data: str | Path, image_folder: str | Path | None = None, data_format: str | None = None, limit: int = 0
) -> list[Dialogue]:
    """Read a benchmark.

    Args:
        data: as ``ConversationStore`` takes it: MMDU's benchmark.json, RSVQA's files or what prepare_rsvqa.sh
            makes of them, files of src.dataset.landuse_vqa, and every other accepted format.
        image_folder: where relative image paths start; None means the data file's own folder.
        data_format: key of CONVERTERS; None detects it.
        limit: at most so many dialogues, taken evenly; 0 takes all.

    Raises:
        LandUseError: no such file, unknown format, or not one row that can be asked.
    """
    store = ConversationStore(data, image_folder, data_format, skip_bad_rows=True, allow_empty=True)
    if not len(store):
        first = f"; the first reason: {store.rejects[0]['reason']}" if store.rejects else ""
        raise InputError(f"{data}: no row that can be asked, of {len(store.rejects)}{first}")
    files = [part.strip() for part in str(data).split(",") if part.strip()]
    # (file, row) of every row, good or bad, and how to read it; a store's index, or a reject.
    rows: dict[tuple[str, int], Any] = {store.origin(index): index for index in range(len(store))}
    rows |= {(reject["source"], reject["index"]): reject for reject in store.rejects}
    order = sorted(rows, key=lambda origin: (_place(files, origin[0]), origin[1]))
    if limit and limit < len(order):
        order = [order[int(i)] for i in np.unique(np.linspace(0, len(order) - 1, limit).astype(int))]
    found = []
    for origin in order:
        row, folder = rows[origin], Path(image_folder) if image_folder else _folder_of(origin[0])
        found.append(_refused(row, store.format) if isinstance(row, dict) else _dialogue(store[row], folder))
    return [replace(dialogue, id=name) for dialogue, name in zip(found, _file_names(found), strict=True)]


def _place(files: Sequence[str], source: str) -> int:
    """Number of the file on the command line; a folder stands for the file in it."""
    return next((n for n, file in enumerate(files) if source == file or Path(source).parent == Path(file)), len(files))


def _folder_of(source: str) -> Path:
    return Path(source).parent


def _dialogue(row: Conversation, folder: Path) -> Dialogue:
    turns = row.turns[1:] if row.turns[0].role == "system" else row.turns
    questions = [
        Question(asked.content, asked.text(), answered.text())
        for asked, answered in zip(turns[::2], turns[1::2], strict=True)
    ]
    kind = row.meta.get("question_type")
    return Dialogue(
        id=row.id,
        questions=tuple(questions),
        image_ids=tuple(os.path.relpath(path, folder) for path in row.images),
        paths=row.images,
        system=row.turns[0].text() if row.turns[0].role == "system" else "",
        question_type=None if kind is None else str(kind),
        problem="the row has videos; only pictures are asked about here" if row.videos else "",
    )


def _refused(reject: dict[str, Any], data_format: str) -> Dialogue:
    """A bad row with its questions, where they can be read at all."""
    unknown = Dialogue(id=f"row_{reject['index']}", questions=(Question((), "", ""),), problem=reject["reason"])
    if data_format not in CONVERTERS or data_format == "rsvqa":
        return unknown
    try:
        raw = index_records(Path(reject["source"])).read(reject["index"])
        row = _dialogue(CONVERTERS[data_format].convert(raw, unknown.id), Path("."))
    except (ValueError, TypeError, KeyError, AttributeError):
        return unknown
    return replace(row, questions=row.questions or unknown.questions, paths=(), problem=reject["reason"])


def _file_names(dialogues: Sequence[Dialogue]) -> list[str]:
    """Ids as file names, each once; where ids repeat, the position tells them apart."""
    names = [re.sub(r"[^\w.-]+", "_", dialogue.id).lstrip(".") or "row" for dialogue in dialogues]
    taken: set[str] = set()
    unique = []
    for index, name in enumerate(names):
        name = name if name not in taken else f"{name}-{index}"
        taken.add(name)
        unique.append(name)
    return unique


def under_condition(dialogues: Sequence[Dialogue], condition: str, seed: int) -> list[Dialogue]:
    """The same questions with their pictures, with grey ones, or with pictures of other dialogues.

    Args:
        dialogues: the set.
        condition: one of CONDITIONS.
        seed: of the choice of other pictures; dialogues about the same pictures get the same others.

    Raises:
        InputError: "shuffled" where all dialogues are about the same pictures.
    """
    if condition == "images":
        return list(dialogues)
    if condition == "blank":
        return [replace(dialogue, blank=True) for dialogue in dialogues]
    rng = np.random.default_rng(seed)
    pool = list(dict.fromkeys(path for dialogue in dialogues for path in dialogue.paths))
    others: dict[tuple[str, ...], tuple[str, ...]] = {}
    for dialogue in dialogues:
        if dialogue.paths and dialogue.paths not in others:
            others[dialogue.paths] = _other_pictures(dialogue, pool, rng)
    return [replace(dialogue, paths=others.get(dialogue.paths, ())) for dialogue in dialogues]


def _other_pictures(dialogue: Dialogue, pool: Sequence[str], rng: np.random.Generator) -> tuple[str, ...]:
    own = set(dialogue.paths)
    free = len(pool) - len(own)
    if not free:
        raise InputError(f"condition shuffled: {dialogue.id} has every picture of the set; more dialogues are needed")
    chosen: list[str] = []
    while len(chosen) < len(dialogue.paths):
        path = pool[int(rng.integers(len(pool)))]
        # No picture twice, as long as there are enough.
        if path not in own and (path not in chosen or len(chosen) >= free):
            chosen.append(path)
    return tuple(chosen)


def digest(dialogues: Sequence[Dialogue]) -> str:
    """Short hash of a set's questions, references and picture names, not of the pictures."""
    found = hashlib.sha256()
    for dialogue in dialogues:
        found.update(repr((dialogue.id, dialogue.questions, dialogue.image_ids, dialogue.system)).encode())
    return found.hexdigest()[:16]
