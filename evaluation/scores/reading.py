"""Read what the generator and the judge wrote: predictions, marks and pairwise verdicts.

Formats (evaluation/README.md):
- predictions: JSONL, one question a line, or a folder with such a predictions.jsonl, or a folder with one JSON file
  a dialogue ({"id", "images", "turns": [lines]});
- marks: a folder with one JSON file a dialogue ({"id", "judge", "self_judged", "images_shown", "turns": [...]});
- pairs: JSONL, one verdict a line ({"id", "turn", "order": "ab" or "ba", "first_better": 0..1 or null}).
A broken file is an error that names it; a turn that failed is a row that says so.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from src.errors import BadRowError, InputError, MissingPathError

CONDITIONS = ("images", "blank", "shuffled")
DIMENSIONS = (
    "creativity",
    "richness",
    "visual_perception",
    "logical_coherence",
    "answer_accuracy",
    "image_relationship_understanding",
)
SCORE_RANGE = (1.0, 10.0)
Key = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Prediction:
    """One answered question.

    Args:
        id: of the question or its dialogue.
        turn: number within the dialogue.
        reference: the right answer.
        text: what the model said; "" where it failed.
        ok: False where generation failed; such a row is counted, its text is never judged.
        condition: which pictures the model saw: "images" (the right ones), "blank" or "shuffled".
    """

    id: str
    turn: int
    question: str
    reference: str
    text: str
    question_type: str | None
    image_ids: tuple[str, ...]
    ok: bool
    condition: str

    @property
    def key(self) -> Key:
        """Dialogue and turn."""
        return self.id, self.turn

    @property
    def cluster(self) -> str:
        """Its pictures in any order; its id where it has none."""
        return "\n".join(sorted(self.image_ids)) or f"id:{self.id}"


@dataclass(frozen=True, slots=True)
class Mark:
    """A judge's scores of one answer; ``scores`` holds all of DIMENSIONS where valid and is empty else.

    Args:
        overall: the judge's own overall score, None where it gave none.
        length: of the judged answer in characters, None where the judge did not note it.
    """

    id: str
    turn: int
    valid: bool
    reason: str
    scores: dict[str, float]
    overall: float | None
    length: int | None
    explanation: str

    @property
    def key(self) -> Key:
        """Dialogue and turn."""
        return self.id, self.turn


@dataclass(frozen=True)
class Marks:
    """All marks of one run, with what the judge said of itself.

    Args:
        self_judged: whether the judge graded its own answers; None where nobody recorded who wrote them.
        images_shown: whether it saw the pictures; both values where that differs between dialogues.
    """

    name: str
    rows: tuple[Mark, ...]
    judges: tuple[str, ...]
    self_judged: bool | None
    images_shown: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """How probably the answer shown first is the better one.

    Args:
        order: "ab" where the first run's answer was shown first, else "ba".
        first_better: 0..1; None where the judge said nothing usable.
    """

    id: str
    turn: int
    order: str
    first_better: float | None


def read_predictions(paths: Sequence[Path]) -> list[Prediction]:
    """All rows of some files or folders, each (id, turn, condition) once.

    Raises:
        MissingPathError: a path does not exist.
        BadRowError: a row that is no prediction, or one given twice.
    """
    seen: dict[tuple[str, int, str], str] = {}
    found = []
    for path in paths:
        for index, row, source in _prediction_rows(path):
            prediction = _prediction(row, index, source)
            key = (*prediction.key, prediction.condition)
            if key in seen:
                raise BadRowError(index, f"{key} stands in {seen[key]} already; give every question once", source)
            seen[key] = source
            found.append(prediction)
    if not found:
        raise InputError(f"{', '.join(path.name for path in paths)}: no prediction, expected one JSON object a line")
    return found


def _prediction_rows(path: Path) -> Iterator[tuple[int, Any, str]]:
    if not path.exists():
        raise MissingPathError(f"{path}: no such file or folder of predictions")
    if path.is_file():
        yield from ((index, row, path.name) for index, row in json_lines(path))
        return
    single = path / "predictions.jsonl"
    if single.is_file():
        yield from ((index, row, single.name) for index, row in json_lines(single))
        return
    for file in json_files(path):
        dialogue = read_object(file)
        for index, row in enumerate(_turns(dialogue, file)):
            yield index, {"id": dialogue.get("id"), "image_ids": dialogue.get("images", [])} | row, file.name


def _prediction(row: Any, index: int, source: str) -> Prediction:
    needed = {"id", "question", "answer", "prediction"}
    if not isinstance(row, dict) or not needed <= row.keys():
        raise BadRowError(index, f"expected an object with {', '.join(sorted(needed))}", source)
    condition, status = row.get("condition") or "images", row.get("status", "ok")
    if condition not in CONDITIONS:
        raise BadRowError(index, f"condition {condition!r}: expected one of {', '.join(CONDITIONS)}", source)
    if status not in ("ok", "failed"):
        raise BadRowError(index, f"status {status!r}: expected ok or failed", source)
    ok = status == "ok"
    return Prediction(
        id=str(row["id"]),
        turn=int(row.get("turn") or 0),
        question=str(row["question"]),
        reference=str(row["answer"]),
        text=str(row["prediction"] or "") if ok else "",
        question_type=row.get("question_type"),
        image_ids=tuple(str(image) for image in row.get("image_ids") or ()),
        ok=ok,
        condition=condition,
    )


def read_marks(folder: Path) -> Marks:
    """The marks of one run; files that are not ``*.json`` are no marks.

    Raises:
        MissingPathError: no such folder.
        InputError: no mark in it, a broken file, or one turn marked twice.
    """
    if not folder.is_dir():
        raise MissingPathError(f"{folder}: no such folder of marks, expected what evaluation.scores.judge wrote")
    rows: dict[Key, Mark] = {}
    judges, shown, own = set(), set(), set()
    for file in json_files(folder):
        dialogue = read_object(file)
        judges.add(str(dialogue.get("judge", "?")))
        shown.add(bool(dialogue.get("images_shown", False)))
        own.add(dialogue.get("self_judged"))
        for turn in _turns(dialogue, file):
            mark = _mark(str(dialogue["id"]), turn)
            if mark.key in rows:
                raise InputError(f"{file.name}: dialogue {mark.id} turn {mark.turn} is marked twice in {folder.name}")
            rows[mark.key] = mark
    if not rows:
        raise InputError(f"{folder}: no mark in it, expected one JSON file a dialogue")
    self_judged = True if True in own else None if None in own else False
    return Marks(folder.name, tuple(rows.values()), tuple(sorted(judges)), self_judged, tuple(sorted(shown)))


def _mark(dialogue: str, turn: dict[str, Any]) -> Mark:
    given = turn.get("scores")
    scores = given if isinstance(given, dict) else {}
    reason = "" if turn.get("valid") else str(turn.get("reason") or "no reason given")
    if not reason:
        bad = [name for name in DIMENSIONS if not is_score(scores.get(name))]
        reason = f"no score from 1 to 10 for: {', '.join(bad)}" if bad else ""
    valid = not reason
    length = turn.get("length")
    return Mark(
        id=dialogue,
        turn=int(turn.get("turn") or 0),
        valid=valid,
        reason=reason,
        scores={name: float(scores[name]) for name in DIMENSIONS} if valid else {},
        overall=float(turn["overall"]) if valid and is_score(turn.get("overall")) else None,
        length=None if length is None else int(length),
        explanation=str(turn.get("explanation") or ""),
    )


def is_score(value: Any) -> bool:
    """A number from 1 to 10; nan, a bool or a text is none."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and SCORE_RANGE[0] <= value <= SCORE_RANGE[1]


def read_pairs(path: Path) -> list[Verdict]:
    """Pairwise verdicts.

    Raises:
        MissingPathError: no such file.
        BadRowError: a row of another form.
    """
    if not path.is_file():
        raise MissingPathError(f"{path}: no such file of pairwise verdicts")
    return [_verdict(row, index, path.name) for index, row in json_lines(path)]


def _verdict(row: Any, index: int, source: str) -> Verdict:
    if not isinstance(row, dict) or "id" not in row or row.get("order") not in ("ab", "ba"):
        raise BadRowError(index, 'expected {"id", "turn", "order": "ab" or "ba", "first_better"}', source)
    value = row.get("first_better")
    if value is not None and not (isinstance(value, int | float) and 0 <= value <= 1):
        raise BadRowError(index, f"first_better {value!r}: expected 0..1 or null", source)
    return Verdict(str(row["id"]), int(row.get("turn") or 0), row["order"], None if value is None else float(value))


def json_lines(path: Path) -> Iterator[tuple[int, Any]]:
    """Objects of a JSONL file with their line numbers from 0; blank lines are skipped.

    Raises:
        BadRowError: a line that is no JSON.
    """
    with path.open(encoding="utf-8") as file:
        for index, line in enumerate(file):
            if line.strip():
                try:
                    yield index, json.loads(line)
                except json.JSONDecodeError as error:
                    raise BadRowError(
                        index, f"no JSON ({error}); was the run cut off? run it again", path.name
                    ) from error


def json_files(folder: Path) -> list[Path]:
    """The ``*.json`` files of a folder, in order of their names."""
    return sorted(folder.glob("*.json"))


def read_object(path: Path) -> dict[str, Any]:
    """One JSON object.

    Raises:
        InputError: the file is broken or holds something else.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path}: no JSON ({error}); delete it and run again") from error
    if not isinstance(value, dict) or "id" not in value:
        raise InputError(f'{path}: expected an object with "id" and "turns"')
    return value


def _turns(dialogue: dict[str, Any], file: Path) -> Iterable[dict[str, Any]]:
    turns = dialogue.get("turns")
    if not isinstance(turns, list) or not all(isinstance(turn, dict) for turn in turns):
        raise InputError(f'{file}: expected "turns", a list of objects')
    return turns
