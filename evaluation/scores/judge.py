"""Grade answers by a model: six dimensions and an overall score from 1 to 10, against the reference and the pictures.

    python -m evaluation.scores.judge --answers OUT/3b-gene --out OUT/mark/3b-gene \\
        --judge models/Qwen2.5-VL-3B-Instruct --image_folder data
    python -m evaluation.scores.judge --answers OUT/nano-gene --out OUT/mark/nano-gene --judge assets/nano --no_images

Writes one file per dialogue, in one step, and goes on where it was stopped.
Answers that were never given (status "failed") are not judged. A table, then
one JSON line with the same figures, which is also kept beside the folder (as
OUT/mark/3b-gene.run.json). Scores of a 3B judge compare answers of one set with
each other; they are not comparable to published tables, which GPT-4 graded.
"""

import argparse
import hashlib
import json
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from evaluation.scores.bootstrap import estimate, ratio, resampled
from evaluation.scores.judge_identity import judges_itself, model_marks
from evaluation.scores.judge_prompt import CRITERIA, INSTRUCTIONS, Case
from evaluation.scores.judge_scoring import Judge, JudgeOptions, Mark
from evaluation.scores.reading import json_lines, read_object
from evaluation.scores.summary import origin, short_path, write_json
from src.dataset.images import load_image
from src.errors import InputError, MissingPathError, run_command
from src.model.backend import Backend, load_backend

logger = logging.getLogger(__name__)

DEFAULT_JUDGE = "models/Qwen2.5-VL-3B-Instruct"
# How the reason of a mark begins where there was no answer to grade.
NOT_ANSWERED = "no answer was given"
_TURN_KEYS = ("question", "answer", "prediction", "status")


@dataclass(frozen=True)
class Answers:
    """The answers to one dialogue, as generation wrote them.

    Args:
        name: of the judge file, without its suffix.
        id: of the dialogue.
        images: paths below the image folder.
        turns: one line each, see evaluation/README.md.
    """

    name: str
    id: str
    images: tuple[str, ...]
    turns: tuple[dict[str, Any], ...]

    @property
    def digest(self) -> str:
        """Of what is judged, so that other answers are seen."""
        text = json.dumps([self.id, self.images, self.turns], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def read_answers(folder: Path) -> list[Answers]:
    """All dialogues of a folder, numbers in their order; of a set of single questions, each is a dialogue.

    Raises:
        MissingPathError: no such folder.
        InputError: no answers in it, or a file that holds none.
    """
    if not folder.is_dir():
        raise MissingPathError(f"{folder}: no such folder; expected the answers of generate_answers.py")
    files = sorted(folder.glob("*.json"), key=lambda path: (not path.stem.isdecimal(), len(path.stem), path.stem))
    rows = [(path.stem, read_object(path)) for path in files]
    if not rows and (folder / "predictions.jsonl").is_file():
        lines = [line for _, line in json_lines(folder / "predictions.jsonl")]
        rows = [(str(line["id"]), line | {"images": line["image_ids"], "turns": [line]}) for line in lines]
    if not rows:
        raise InputError(
            f"{folder}: no *.json in it; expected one file per dialogue, as generate_answers.py writes them"
        )
    return [_answers_of(name, row, folder) for name, row in rows]


def _answers_of(name: str, row: dict[str, Any], folder: Path) -> Answers:
    try:
        turns = tuple(dict(turn) for turn in row["turns"])
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f'{folder / name}: expected {{"id", "images", "turns": [...]}}') from error
    lacking = sorted({key for turn in turns for key in _TURN_KEYS if key not in turn})
    if lacking:
        raise InputError(f"{folder / name}: turns without {', '.join(lacking)}; expected {', '.join(_TURN_KEYS)}")
    return Answers(name, str(row["id"]), tuple(str(image) for image in row.get("images", ())), turns)


def image_files(answers: Answers, args: argparse.Namespace) -> list[Path]:
    """The pictures to show; none where nothing was answered. A leading slash does not mean the root of the disk.

    Raises:
        MissingPathError: one is not there.
    """
    if args.no_images or all(turn["status"] != "ok" for turn in answers.turns):
        return []
    paths = [(args.image_folder or Path()) / name.lstrip("/") for name in answers.images]
    for path in paths:
        if not path.is_file():
            raise MissingPathError(f"{path}: this picture of dialogue {answers.id} is not there; give --image_folder")
    return paths


def case_of(turn: dict[str, Any], pictures: Sequence[Any], answer: str | None = None) -> Case:
    """What the judge sees of a turn, or of another answer in its place."""
    text = turn["prediction"] if answer is None else answer
    return Case(turn["question"], turn["answer"], text, tuple(pictures))


def mark_row(turn: dict[str, Any], index: int, mark: Mark) -> dict[str, Any]:
    """A turn of a judge file; ``length`` counts the characters of the answer, the same for every tokenizer."""
    return {"turn": turn.get("turn", index), **mark.to_dict(), "length": len(turn["prediction"] or "")}


def judge_dialogue(judge: Judge, answers: Answers, pictures: Sequence[Any]) -> list[dict[str, Any]]:
    """Grade every answer of a dialogue that was given.

    Returns:
        Turns of a judge file.
    """
    judge.forget()
    rows = []
    for index, turn in enumerate(answers.turns):
        if turn["status"] == "ok":
            mark = judge.grade(case_of(turn, pictures))
        else:
            mark = Mark(reason=f"{NOT_ANSWERED}: {turn.get('reason') or 'no reason recorded'}")
        rows.append(mark_row(turn, index, mark))
    return rows


def already_judged(out: Path, answers: Answers, settings: str) -> bool:
    """Whether the same answers have their judge file; False also where the answers changed since.

    Raises:
        InputError: it was made with other settings, so that the folder would mix two judges.
    """
    path = out / f"{answers.name}.json"
    if not path.exists():
        return False
    row = read_object(path)
    if row.get("settings") != settings:
        raise InputError(
            f"{path} was judged with other settings (judge {row.get('judge')}): give another --out, or remove it"
        )
    return row.get("answers") == answers.digest


def settings_digest(options: JudgeOptions, args: argparse.Namespace) -> str:
    """What must agree between the files of one folder: the judge, its weights, its texts, and what it saw."""
    weights = [args.judge] if args.api_base else sorted(model_marks(args.judge))
    seen = [bool(args.api_base), not args.no_images, args.bits, args.context_tokens]
    text = json.dumps([vars(options), INSTRUCTIONS, CRITERIA, weights, seen])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def answering_models(folder: Path) -> list[str]:
    """Model and adapter that wrote a folder of answers, as the record beside it says; [] where there is none."""
    record = folder.with_name(f"{folder.name}.run.json")
    if not record.is_file():
        return []
    settings = json.loads(record.read_text(encoding="utf-8")).get("settings", {})
    return [settings[key] for key in ("model", "adapter") if settings.get(key)]


def check_self(args: argparse.Namespace) -> bool | None:
    """Whether the judge grades itself, with a warning; None where it is unknown who wrote the answers.

    Raises:
        InputError: it does, or it is unknown, and ``--strict`` forbids it.
    """
    models = args.answer_model or answering_models(args.answers)
    if not models:
        text = f"no record beside {args.answers} says which model wrote the answers: name it with --answer_model"
        if args.strict:
            raise InputError(f"--strict: {text}")
        logger.warning("%s", text)
        return None
    if not judges_itself(args.judge, models):
        return False
    writers = ", ".join(Path(model).name for model in models)
    text = f"{Path(args.judge).name} would grade its own answers or a relative's (written by {writers})"
    if args.strict:
        raise InputError(f"--strict: {text}; give another --judge")
    logger.warning("%s: models prefer their own answers; the result says self_judged", text)
    return True


def figure(values: Sequence[float] | np.ndarray, clusters: Sequence[Any], seed: int) -> dict[str, Any]:
    """A mean with its 95 % interval; whole dialogues are resampled."""
    columns = np.stack([np.asarray(values, dtype=float), np.ones(len(values))], axis=1)
    sums = resampled(columns, clusters, seed)
    return estimate(float(columns[:, 0].mean()), ratio(sums[:, 0], sums[:, 1]))


def figures_of(files: Sequence[dict[str, Any]], seed: int) -> dict[str, Any]:
    """What judge files say together."""
    turns = [(row["id"], turn) for row in files for turn in row["turns"]]
    asked = [(place, turn) for place, turn in turns if not turn["reason"].startswith(NOT_ANSWERED)]
    valid = [(place, turn) for place, turn in asked if turn["valid"]]
    places = [place for place, _ in valid]
    scores = [turn["scores"] | {"overall": turn["overall"]} for _, turn in valid]
    masses = [turn["mass"] for _, turn in valid if turn["mass"] is not None]
    tries, used = (sum(row["replies"][name] for row in files) for name in ("asked", "used"))
    return {
        "n": len(turns),
        "dialogues": len(files),
        "not_answered": len(turns) - len(asked),
        "valid": len(valid),
        "valid_rate": round(len(valid) / len(asked), 4) if asked else None,
        "by_probability": all(row["by_probability"] for row in files),
        "json_replies_usable": round(used / tries, 4) if tries else None,
        "score_word_probability": round(float(np.mean(masses)), 6) if masses else None,
        "scores": {key: figure([row[key] for row in scores], places, seed) for key in CRITERIA} if valid else {},
    }


def shown_interval(row: dict[str, Any]) -> str:
    """An interval as text; one dialogue alone gives none."""
    return "[{:.2f}, {:.2f}]".format(*row["ci95"]) if row["ci95"] else "-"


def table(report: dict[str, Any]) -> str:
    """The figures as text."""
    lines = [f"{'criterion':34} {'mean':>7} {'95 %':>16}"]
    for key, row in report["scores"].items():
        lines.append(f"{key:34} {row['value']:7.3f} {shown_interval(row):>16}")
    lines.append(
        f"{report['valid']} of {report['n'] - report['not_answered']} answers graded, "
        f"{report['not_answered']} not given; {report['seconds_per_turn']} s a turn"
    )
    return "\n".join(lines)


def judge_origin(args: argparse.Namespace, started: float, module: str) -> dict[str, Any]:
    """Where a result comes from, with the libraries that ran the judge."""
    row = origin(args, started, module)
    row["versions"] |= {name: version(name) for name in ("torch", "transformers", "scipy")}
    return row


def connect(args: argparse.Namespace) -> Backend:
    """The judge's backend, from the command line."""
    return load_backend(
        args.judge,
        backend="openai" if args.api_base else "transformers",
        api_base=args.api_base,
        device=args.device,
        bits=args.bits,
        context_tokens=args.context_tokens,
    )


def judge_options(args: argparse.Namespace) -> JudgeOptions:
    """How to judge, from the command line.

    Raises:
        MissingPathError: no such prompt file.
    """
    file = args.judge_prompt
    if file and not file.is_file():
        raise MissingPathError(f"--judge_prompt {file}: no such file")
    return JudgeOptions(
        official=file.read_text(encoding="utf-8").strip() if file else None,
        explanation_tokens=args.explanation_tokens,
        retries=args.retries,
        seed=args.seed,
    )


def add_judge_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments that the judge and its checks share."""
    parser.add_argument("--answers", type=Path, required=True, help="folder with one file of answers per dialogue")
    parser.add_argument("--judge", default=DEFAULT_JUDGE, help="model or adapter folder, or a server's model name")
    parser.add_argument("--api-base", help="address of a server, such as http://127.0.0.1:8000/v1; key: OPENAI_API_KEY")
    parser.add_argument("--image_folder", type=Path, help="folder of the pictures; default: the working folder")
    parser.add_argument("--no_images", action="store_true", help="judge by the texts alone")
    parser.add_argument(
        "--judge_prompt", type=Path, help="text in the place of this project's, e.g. the benchmark's own"
    )
    parser.add_argument("--explanation_tokens", type=int, default=96, help="longest explanation; 0 writes none")
    parser.add_argument("--retries", type=int, default=2, help="further tries where a server's JSON is unreadable")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--bits", type=int, default=16, choices=(4, 8, 16))
    parser.add_argument("--context_tokens", type=int, default=32768, help="longest text with its pictures")
    parser.add_argument("--limit", type=int, help="first N dialogues only")
    parser.add_argument("--seed", type=int, default=0)


def parse() -> argparse.Namespace:
    """Command line of the judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_judge_arguments(parser)
    parser.add_argument("--out", type=Path, required=True, help="folder for one judge file per dialogue")
    parser.add_argument(
        "--answer_model", nargs="+", help="model and adapters that wrote the answers; default: as recorded"
    )
    parser.add_argument("--strict", action="store_true", help="refuse to judge a model by itself")
    return parser.parse_args()


def judge_all(judge: Judge, missing: Sequence[Answers], args: argparse.Namespace, head: dict[str, Any]) -> None:
    """Judge dialogues one after the other, a file for each as soon as it is done."""
    for answers in tqdm(missing, desc="dialogues", disable=None):
        asked, used = judge.replies_asked, judge.replies_used
        pictures = [load_image(path) for path in image_files(answers, args)]
        turns = judge_dialogue(judge, answers, pictures)
        replies = {"asked": judge.replies_asked - asked, "used": judge.replies_used - used}
        content = {"id": answers.id, **head, "by_probability": judge.by_probability, "replies": replies}
        write_json(args.out / f"{answers.name}.json", content | {"answers": answers.digest, "turns": turns})


def main() -> int:
    """Judge what is not judged yet, print the table, write the report; 1 where no answer could be graded."""
    args, started = parse(), time.time()
    dialogues = read_answers(args.answers)[: args.limit]
    options = judge_options(args)
    self_judged = check_self(args)
    settings = settings_digest(options, args)
    missing = [answers for answers in dialogues if not already_judged(args.out, answers, settings)]
    for answers in missing:
        image_files(answers, args)
    seconds = 0.0
    if missing:
        judge = Judge(connect(args), options)
        began = time.perf_counter()
        shown = not args.no_images
        head = {
            "judge": short_path(args.judge),
            "self_judged": self_judged,
            "images_shown": shown,
            "settings": settings,
        }
        try:
            judge_all(judge, missing, args, head)
        finally:
            judge.backend.close()
        seconds = time.perf_counter() - began
    files = [read_object(args.out / f"{answers.name}.json") for answers in dialogues]
    judged_now = sum(turn["status"] == "ok" for answers in missing for turn in answers.turns)
    pace = {"judged_now": judged_now, "seconds_per_turn": round(seconds / judged_now, 3) if judged_now else None}
    report = judge_origin(args, started, "evaluation.scores.judge")
    report |= {"judge": short_path(args.judge), "self_judged": self_judged, "images_shown": not args.no_images}
    report |= figures_of(files, args.seed) | pace
    write_json(args.out.with_name(f"{args.out.name}.run.json"), report)
    print(table(report))
    print(json.dumps(report, ensure_ascii=False))
    return 0 if report["valid"] or report["not_answered"] == report["n"] else 1


if __name__ == "__main__":
    run_command(main)
