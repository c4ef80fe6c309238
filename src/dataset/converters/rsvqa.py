"""RSVQA's official files: questions, answers and images in three JSON files, rows matched by id.

Every active question becomes one conversation with ``question_type`` in its
meta; numbers stay as published (binning is a matter of evaluation). Inactive
rows are stubs {"id": n, "active": false} and are skipped.
Files: https://zenodo.org/records/6344334 (LR), https://zenodo.org/records/6344367 (HR);
field names: https://github.com/syvlo/RSVQA
"""

import re
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from src.dataset.converters.common import Converter, Row, plain_turn
from src.dataset.records import Records, index_array
from src.dataset.schema import Conversation
from src.errors import InputError, MissingPathError

_HEAD = re.compile(rb'\s*\{\s*"questions"\s*:\s*\[')
_IMAGE_SUBFOLDERS = ("", "Images_LR", "Images", "Data", "images")
_SUFFIXES = (".tif", ".png", ".jpg")
# The specification's misspelling is accepted; the published files have the first form.
_QUESTION_ID_KEYS = ("question_id", "quesiton_id")


@dataclass(frozen=True)
class RsvqaRecords:
    """Active questions with their answers, by position.

    Args:
        path: the questions file.
        questions: rows of the questions file.
        answers: rows of the answers file.
        pairs: int64 (rows, 2), positions in ``questions`` and ``answers``; -1 where no active answer exists.
        image_ids: ids of the active images in ascending order, or None without an images file.
        image_folder: where the images lie.
        image_suffix: file name ending of the images.
    """

    path: Path
    questions: Records
    answers: Records
    pairs: np.ndarray
    image_ids: np.ndarray | None
    image_folder: Path
    image_suffix: str

    def __len__(self) -> int:
        return len(self.pairs)

    def read(self, index: int) -> Row:
        """One question with its answer and image name.

        Raises:
            InputError: no active answer, or the image is no active one.
        """
        question_row, answer_row = (int(row) for row in self.pairs[index])
        question = self.questions.read(question_row)
        if answer_row < 0:
            raise InputError(f"question {question['id']} has no active answer in {self.answers.path.name}")
        image_id = question.get("img_id")
        if self.image_ids is not None and not _contains(self.image_ids, image_id):
            raise InputError(f"question {question['id']} names image {image_id}, which is not active")
        image = f"{image_id}{self.image_suffix}"
        return {"question": question, "answer": self.answers.read(answer_row), "image": image}


def is_rsvqa(path: Path) -> bool:
    """True for a folder, and for a file that starts as an RSVQA questions file does."""
    if path.is_dir():
        return True
    with path.open("rb") as file:
        return _HEAD.match(file.read(4096)) is not None


def index_rsvqa(path: Path, image_folder: Path | None) -> RsvqaRecords:
    """Match questions and answers by id.

    Args:
        path: the questions file, or a folder with exactly one.
        image_folder: folder of the images or of their folder; None means the questions file's folder.

    Raises:
        MissingPathError: no questions or answers file.
        InputError: several questions files, or a file of another form.
    """
    questions_path = _questions_file(path)
    answers_path = _sibling(questions_path, "answers")
    if not answers_path.is_file():
        raise MissingPathError(f"{answers_path}: no such file; the answers must lie beside {questions_path.name}")
    questions, answers = index_array(questions_path, "questions"), index_array(answers_path, "answers")
    answer_of = {_question_id(answer): row for row, answer in _active(answers)}
    pairs = array("q")
    first_image = None
    for row, question in _active(questions):
        pairs.extend((row, answer_of.get(question["id"], -1)))
        first_image = question.get("img_id") if first_image is None else first_image
    folder, suffix = _locate_images(image_folder or questions_path.parent, first_image)
    return RsvqaRecords(
        path=questions_path,
        questions=questions,
        answers=answers,
        pairs=np.array(pairs, dtype=np.int64).reshape(-1, 2),
        image_ids=_active_images(_sibling(questions_path, "images")),
        image_folder=folder,
        image_suffix=suffix,
    )


def _questions_file(path: Path) -> Path:
    if not path.is_dir():
        return path
    found = sorted(path.glob("*questions*.json"))
    if not found:
        raise MissingPathError(f"{path}: no *questions*.json in this folder; expected RSVQA's official files")
    if len(found) > 1:
        names = ", ".join(file.name for file in found)
        raise InputError(f"{path}: several questions files ({names}); name the one to read")
    return found[0]


def _sibling(questions_path: Path, kind: str) -> Path:
    return questions_path.with_name(questions_path.name.replace("questions", kind))


def _active(records: Records) -> Iterator[tuple[int, Row]]:
    """Rows that are no stubs; a file that is broken here is broken as a whole, as ids tie its rows together."""
    with records.path.open("rb") as file:
        for row, (start, end) in enumerate(records.spans):
            file.seek(start)
            value = records.parse(file.read(end - start))
            if not isinstance(value, dict) or not isinstance(value.get("id"), int):
                shown = str(value)[:80]
                raise InputError(f"{records.path}: row {row} is {shown!r}, expected an object with an integer id")
            if value.get("active", True):
                yield row, value


def _question_id(answer: Row) -> Any:
    return next((answer[key] for key in _QUESTION_ID_KEYS if key in answer), None)


def _active_images(path: Path) -> np.ndarray | None:
    if not path.is_file():
        return None
    return np.array(sorted(image["id"] for _, image in _active(index_array(path, "images"))), dtype=np.int64)


def _contains(ids: np.ndarray, wanted: Any) -> bool:
    position = int(np.searchsorted(ids, wanted))
    return position < len(ids) and int(ids[position]) == wanted


def _locate_images(folder: Path, image_id: Any) -> tuple[Path, str]:
    for subfolder in _IMAGE_SUBFOLDERS:
        for suffix in _SUFFIXES:
            if (folder / subfolder / f"{image_id}{suffix}").is_file():
                return folder / subfolder, suffix
    return folder, _SUFFIXES[0]


def _convert(row: Row, default_id: str) -> Conversation:
    question, answer = row["question"], row["answer"]
    text, reply = question.get("question"), answer.get("answer")
    if not isinstance(text, str) or not isinstance(reply, str | int):
        raise InputError(f"non-string text: question {text!r}, answer {reply!r}")
    return Conversation(
        id=str(question["id"]),
        images=(row["image"],),
        videos=(),
        turns=(plain_turn("user", text.strip(), image_first=True), plain_turn("assistant", str(reply).strip())),
        meta={"question_type": question.get("type"), "image_id": question.get("img_id"), "source": "rsvqa"},
    )


RSVQA = Converter(lambda row: isinstance(row.get("question"), dict) and "answer" in row, _convert)
