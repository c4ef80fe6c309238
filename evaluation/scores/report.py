"""The report that a person reads: one page in Chinese or English, as Markdown and as self-contained HTML.

It says first what came out, then how it was judged, then the tables, pictures,
floors and examples. Everything in it stands in the result file too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from evaluation.scores.marks import COLUMNS, COMPOSITE, Run
from evaluation.scores.page import Block, Grid, Heading, Picture, Text, markdown, page
from evaluation.scores.plots import before_after, radar, score_length
from evaluation.scores.reading import Key, Mark, Prediction
from evaluation.scores.report_text import COLUMN_NAMES, text

FLOORS = ("majority", "blind", "shuffled")
# Dialogues and answers shown at each end; longer texts are cut.
_ENDS = 5
_EXAMPLES = 2
_SHOWN_CHARACTERS = 400


@dataclass(frozen=True)
class Story:
    """What the page is made of.

    Args:
        result: the result file's content.
        runs: one run, or the first and the second.
        marks: of the last run, by question.
        predictions: of the last run, by question; empty where none were given.
    """

    result: Mapping[str, Any]
    runs: tuple[Run, ...]
    marks: Mapping[Key, Mark]
    predictions: Mapping[Key, Prediction]


def write_report(story: Story, folder: Path, lang: str) -> list[Path]:
    """Write ``report.md``, ``report.html`` and the pictures into a folder.

    Args:
        story: what to tell.
        folder: made where missing.
        lang: "zh" or "en".

    Returns:
        The files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    blocks = build(story, lang)
    title = blocks[0].text if isinstance(blocks[0], Heading) else ""
    files = [folder / "report.md", folder / "report.html"]
    files[0].write_text(markdown(blocks), encoding="utf-8")
    files[1].write_text(page(blocks, title, lang), encoding="utf-8")
    for block in blocks:
        if isinstance(block, Picture):
            files.append(folder / block.name)
            files[-1].write_bytes(block.png)
    return files


def build(story: Story, lang: str) -> list[Block]:
    """All blocks of the page."""
    names = " / ".join(run.name for run in story.runs)
    parts = (_in_short, _judged_by, _scores, _length, _pictures, _preference, _floors, _dialogues, _examples)
    return [Heading(text("title", lang, names=names), 1), *(block for part in parts for block in part(story, lang))]


def span(figure: Mapping[str, Any], percent: bool = False) -> str:
    """An interval as text, "-" where there is none."""
    limits = figure["ci95"]
    if not limits:
        return "-"
    return "{} – {}".format(*(_share(value) if percent else f"{value:.2f}" for value in limits))


def _number(value: float | None, digits: int = 2, sign: str = "") -> str:
    return "-" if value is None else f"{value:{sign}.{digits}f}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"


def _in_short(story: Story, lang: str) -> list[Block]:
    blocks: list[Block] = [Heading(text("in_short", lang))]
    for run in story.result["runs"]:
        score = run["scores"][COMPOSITE]["all"]
        slots = {"n": run["n"], "dialogues": run["dialogues_n"], "rate": _share(run["valid_rate"])}
        slots["length"] = _number(run["length"]["mean"], 0)
        line = text("one_run", lang, name=run["name"], score=_number(score["value"]), span=span(score), **slots)
        blocks.append(Text(line, "lead"))
    compared = story.result["compare"]
    if compared:
        blocks.append(Text(_verdict(compared, story.runs, lang), "lead"))
    return blocks


def _verdict(compared: Mapping[str, Any], runs: Sequence[Run], lang: str) -> str:
    gap = compared["difference"][COMPOSITE]
    names = {"first": runs[0].name, "second": runs[1].name}
    limits = gap["ci95"]
    key = "no_difference" if not limits or limits[0] <= 0 <= limits[1] else "better" if limits[0] > 0 else "worse"
    told = text(key, lang, gap=_number(gap["value"], sign="+"), span=span(gap), **names)
    shown = compared["by_judge"] or compared["by_score"]
    equal = _share(shown["win_rate_equal_length"]["value"])
    rate = {"rate": _share(shown["win_rate"]["value"]), "span": span(shown["win_rate"], percent=True)}
    return " ".join([told, text("wins", lang, equal=equal, second=names["second"], **rate)])


def _judged_by(story: Story, lang: str) -> list[Block]:
    result = story.result
    seen = {(True,): "seen_images", (False,): "seen_text"}.get(tuple(result["images_shown"]), "seen_mixed")
    judge = ", ".join(result["judges"])
    blocks: list[Block] = [Heading(text("judged_by", lang))]
    if result["self_judged"] is not False:
        blocks.append(Text(text("self_judged" if result["self_judged"] else "self_unknown", lang), "warning"))
    blocks.append(Text(text("judge_is", lang, judge=judge, seen=text(seen, lang))))
    return [*blocks, Text(text(f"rule_{result['rule']}", lang)), Text(text("not_comparable", lang))]


def _scores(story: Story, lang: str) -> list[Block]:
    runs, compared = story.result["runs"], story.result["compare"]
    head = [text("dimension", lang)]
    for run in runs:
        mark = f"{run['name']} " if len(runs) > 1 else ""
        head += [mark + text("valid", lang), text("interval", lang), mark + text("all", lang)]
    head += [text("difference", lang), text("interval", lang)] if compared else []
    rows = []
    for name in COLUMNS:
        row = [COLUMN_NAMES[name][lang]]
        for run in runs:
            figure = run["scores"][name]
            row += [_number(figure["valid"]["value"]), span(figure["valid"]), _number(figure["all"]["value"])]
        if compared:
            gap = compared["difference"][name]
            row += [_number(gap["value"], sign="+"), span(gap)]
        rows.append(tuple(row))
    blocks: list[Block] = [
        Heading(text("scores", lang)),
        Text(text("scores_note", lang)),
        Grid(tuple(head), tuple(rows)),
    ]
    reasons = [(run["name"], reason, str(n)) for run in runs for reason, n in run["reasons"].items()][: 2 * _ENDS]
    if reasons:
        head = [text("run", lang), text("failed", lang), text("questions", lang)]
        blocks.append(Grid(tuple(head), tuple(reasons), words=True))
    return blocks


def _length(story: Story, lang: str) -> list[Block]:
    keys = ("run", "questions", "valid_rate", "length", "per_doubling", "interval", "rank")
    rows = []
    for run in story.result["runs"]:
        length = run["length"]
        slope = length["points_per_doubling"]
        cells = [run["name"], str(run["n"]), _share(run["valid_rate"]), _number(length["mean"], 0)]
        rows.append((*cells, _number(slope["value"], sign="+"), span(slope), _number(length["spearman"], sign="+")))
    return [Grid(tuple(text(key, lang) for key in keys), tuple(rows))]


def _pictures(story: Story, lang: str) -> list[Block]:
    runs = story.result["runs"]
    return [
        Heading(text("pictures", lang)),
        Picture("radar.png", text("radar", lang), radar(runs, lang)),
        Picture("dimensions.png", text("before_after", lang), before_after(runs, lang)),
        Picture("length.png", text("score_length", lang), score_length(story.runs, lang)),
    ]


def _preference(story: Story, lang: str) -> list[Block]:
    compared = story.result["compare"]
    if not compared:
        return []
    keys = ("compared_by", "questions", "counts", "win_rate", "interval", "equal_length", "interval", "longer")
    rows = []
    for name in ("by_score", "by_judge"):
        found = compared[name]
        if found:
            raw, equal = found["win_rate"], found["win_rate_equal_length"]
            counts = f"{found['wins']} / {found['ties']} / {found['losses']}"
            cells = [text(name, lang), str(found["n"]), counts, _share(raw["value"]), span(raw, percent=True)]
            longer = _number(found["longer_answers"]["value"], 0, "+")
            rows.append((*cells, _share(equal["value"]), span(equal, percent=True), longer))
    blocks: list[Block] = [Heading(text("preference", lang)), Text(text("preference_note", lang))]
    blocks.append(Grid(tuple(text(key, lang) for key in keys), tuple(rows)))
    if compared["by_judge"]:
        orders = compared["by_judge"]["orders"]
        bias, agreed = orders["position_bias"], _share(orders["agreement"])
        told = text("position", lang, bias=_number(bias["value"], sign="+"), span=span(bias), agreement=agreed)
        blocks.append(Text(told))
    return blocks


def _floors(story: Story, lang: str) -> list[Block]:
    result = story.result
    own = {COMPOSITE: result["scores"][COMPOSITE]["all"], "overlap": result["scores"].get("overlap")}
    lines = [(story.runs[-1].name, own)] + [(text(name, lang), result[name]) for name in FLOORS if result[name]]
    if len(lines) == 1:
        return []
    overlap = text("overlap", lang)
    head = [text("floor", lang), COLUMN_NAMES[COMPOSITE][lang], text("interval", lang), overlap, text("interval", lang)]
    rows = []
    for name, found in lines:
        score, words = found.get(COMPOSITE), found.get("overlap")
        cells = [name, _number(score["value"]) if score else "-", span(score) if score else "-"]
        rows.append((*cells, _number(words["value"]) if words else "-", span(words) if words else "-"))
    return [Heading(text("floors", lang)), Text(text("floors_note", lang)), Grid(tuple(head), tuple(rows))]


def _dialogues(story: Story, lang: str) -> list[Block]:
    found = story.result["runs"][-1]["dialogues"]
    scored = sorted((row[COMPOSITE], name, row) for name, row in found.items() if row[COMPOSITE] is not None)
    if not scored:
        return []
    shown = scored if len(scored) <= 2 * _ENDS else scored[:_ENDS] + scored[-_ENDS:]
    keys = ("dialogue", "questions", "length")
    head = [*(text(key, lang) for key in keys), *(COLUMN_NAMES[name][lang] for name in COLUMNS)]
    rows = tuple(
        (name, str(row["n"]), _number(row["length"], 0), *(_number(row[column]) for column in COLUMNS))
        for _, name, row in shown
    )
    return [Heading(text("dialogues", lang)), Grid(tuple(head), rows)]


def _examples(story: Story, lang: str) -> list[Block]:
    run = story.runs[-1]
    scores = run.column(COMPOSITE)
    order = [int(i) for i in np.argsort(scores, kind="stable") if np.isfinite(scores[i])]
    ends = order if len(order) <= 2 * _EXAMPLES else order[:_EXAMPLES] + order[-_EXAMPLES:]
    if not ends or not story.predictions:
        return []
    blocks: list[Block] = [Heading(text("examples", lang))]
    for i in ends:
        key = run.keys[i]
        row, mark = story.predictions[key], story.marks[key]
        title = text("score_of", lang, id=key[0], turn=key[1], score=_number(float(scores[i])))
        lines = [("reference", row.reference), ("answer", row.text)]
        lines += [("judge_says", mark.explanation)] if mark.explanation else []
        cells = tuple((text(name, lang), _cut(said) or text("empty", lang)) for name, said in lines)
        blocks += [Heading(title, 3), Grid((text("question", lang), _cut(row.question)), cells, words=True)]
    return blocks


def _cut(said: str) -> str:
    line = " ".join(said.split())
    return line if len(line) <= _SHOWN_CHARACTERS else line[:_SHOWN_CHARACTERS] + " …"
