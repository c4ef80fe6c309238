"""Answers on disk: one file per dialogue, or one file per group of single questions; every file appears whole.

A set with dialogues of several turns becomes ``OUT/<id>.json`` files. Ten thousand single questions would
be as many files: they are kept in ``OUT/parts/`` until the end. Both become ``OUT/predictions.jsonl``.
What happens to a run is read from the files alone, so it may be killed at any moment.
"""

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from evaluation.model_generation.asking import Answer
from evaluation.model_generation.sets import Dialogue

PREDICTIONS = "predictions.jsonl"


def write_whole(path: Path, text: str) -> None:
    """Write a file so that it is there in full or not at all, after a power cut too."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # The ending is no .json: who lists a folder's answers never sees half of one.
    partial = path.with_name(f"{path.name}.partial")
    with partial.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)


def lines_of(dialogue: Dialogue, answers: Sequence[Answer], condition: str) -> list[dict[str, Any]]:
    """The predictions of one dialogue, a line for each question."""
    lines = []
    for turn, (question, answer) in enumerate(zip(dialogue.questions, answers, strict=True)):
        line = {
            "id": dialogue.id,
            "turn": turn,
            "question": question.text,
            "answer": question.reference,
            "prediction": answer.prediction,
            "question_type": dialogue.question_type,
            "image_ids": list(dialogue.image_ids),
            "status": answer.status,
            "tokens": answer.tokens,
            "finish": answer.finish,
            "condition": condition,
        }
        lines.append(line | ({"reason": answer.reason} if answer.status == "failed" else {}))
    return lines


def joined(lines: Sequence[dict[str, Any]]) -> str:
    """Lines as JSONL."""
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)


class AnswerFolder:
    """What is known and what is missing of a run.

    Args:
        out: the run's folder.
        groups: all dialogues, in the groups in which they are asked.
        condition: of the pictures.
    """

    def __init__(self, out: Path, groups: Sequence[Sequence[Dialogue]], condition: str) -> None:
        self.out, self._groups, self._condition = out, groups, condition
        self.single = all(len(dialogue.questions) == 1 for group in groups for dialogue in group)
        self._open: dict[int, list[dict[str, Any]]] = {}

    def open_groups(self) -> list[int]:
        """Numbers of the groups of which anything is missing; they are asked again as a whole."""
        if self.single and (self.out / PREDICTIONS).exists():
            return []
        return [n for n, group in enumerate(self._groups) if not all(path.exists() for path in self._paths(n, group))]

    def delete(self) -> None:
        """Delete every answer."""
        for path in [*self.out.glob("*.json"), self.out / PREDICTIONS]:
            path.unlink(missing_ok=True)
        shutil.rmtree(self.out / "parts", ignore_errors=True)

    def drop_failed(self) -> None:
        """Delete what holds a failure, so that it is asked again."""
        if self.single and (self.out / PREDICTIONS).exists():
            lines = iter(self.lines())
            for number, group in enumerate(self._groups):
                write_whole(self._part(number), joined([next(lines) for _ in group]))
        (self.out / PREDICTIONS).unlink(missing_ok=True)
        for path in {path for n, group in enumerate(self._groups) for path in self._paths(n, group)}:
            if path.exists() and any(line["status"] == "failed" for line in _read(path)):
                path.unlink()

    def put(self, number: int, dialogue: Dialogue, answers: Sequence[Answer]) -> None:
        """Keep a dialogue's answers; what is there already stays as it is."""
        lines = lines_of(dialogue, answers, self._condition)
        if self.single:
            group, found = self._groups[number], self._open.setdefault(number, [])
            found += lines
            if len(found) == len(group):
                place = {one.id: index for index, one in enumerate(group)}
                write_whole(self._part(number), joined(sorted(found, key=lambda line: place[line["id"]])))
                del self._open[number]
            return
        path = self.out / f"{dialogue.id}.json"
        if not path.exists():
            whole = {"id": dialogue.id, "images": list(dialogue.image_ids), "turns": lines}
            write_whole(path, json.dumps(whole, ensure_ascii=False, indent=1) + "\n")

    def finish(self, order: Sequence[Dialogue]) -> list[dict[str, Any]]:
        """Write ``predictions.jsonl`` in the set's order and return its lines."""
        if not (self.single and (self.out / PREDICTIONS).exists()):
            paths = dict.fromkeys(path for n, group in enumerate(self._groups) for path in self._paths(n, group))
            place = {dialogue.id: index for index, dialogue in enumerate(order)}
            lines = [line for path in paths for line in _read(path)]
            lines.sort(key=lambda line: (place[line["id"]], line["turn"]))
            write_whole(self.out / PREDICTIONS, joined(lines))
        shutil.rmtree(self.out / "parts", ignore_errors=True)
        return list(self.lines())

    def lines(self) -> Iterator[dict[str, Any]]:
        """The lines of ``predictions.jsonl``."""
        yield from _read(self.out / PREDICTIONS)

    def _part(self, number: int) -> Path:
        return self.out / "parts" / f"{number:06d}.jsonl"

    def _paths(self, number: int, group: Sequence[Dialogue]) -> list[Path]:
        if self.single:
            return [self._part(number)]
        return [self.out / f"{dialogue.id}.json" for dialogue in group]


def _read(path: Path) -> list[dict[str, Any]]:
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".json":
        return json.loads(text)["turns"]
    return [json.loads(line) for line in text.splitlines()]
