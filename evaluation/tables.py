"""Write the result tables of both READMEs from the committed JSON results.

    python -m evaluation.tables            # rewrite
    python -m evaluation.tables --check    # exit 1 where a table is out of date

A table stands between ``<!-- table: NAME -->`` and ``<!-- end -->``. Those of
TABLES come from reports of ``evaluation.story``, ``speed`` from the benchmarks
of both stages' steps, ``words`` from ``evaluation.benchmarks.model_alone``,
``county`` from ``evaluation.benchmarks.county``.
"""

import argparse
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from src.errors import run_command

REPO = Path(__file__).resolve().parents[1]
RESULTS = REPO / "evaluation" / "results"
READMES = {"README.md": "en", "README_CN.md": "zh"}
# Reports of evaluation/story.py by table name; a missing file leaves its rows out.
TABLES = {
    "story": {"story.json": {"en": "simulated counties of other seeds", "zh": "其他种子的模拟县"}},
    "real": {
        "real_same.json": {"en": "Raleigh, held-out blocks (Landsat 7)", "zh": "Raleigh 留出区块（Landsat 7）"},
        "real_other.json": {"en": "Slovenia, another place (Sentinel-2)", "zh": "斯洛文尼亚，另一地点（Sentinel-2）"},
    },
}
HEAD = {
    "en": ("test set", "stage", "n", "greedy", "sampled", "95 % (sampled)", "majority", "other pictures"),
    "zh": ("测试集", "阶段", "n", "贪心", "采样", "95 %（采样）", "多数答案", "换图"),
}
GAIN = {
    "en": "Sampled gain of stage 2 over stage 1: {value:+.3f} (95 % {low:+.3f} to {high:+.3f}); "
    "beats both floors on: {kinds}.",
    "zh": "阶段二相对阶段一的采样提升：{value:+.3f}（95 % {low:+.3f} 至 {high:+.3f}）；"
    "同时超过两条基线的题型：{kinds}。",
}
DIALOGUES = {
    "en": "Loss per answer token on {n} held-out dialogues: base {base:.3f}, stage 1 {sft:.3f} "
    "({low:+.3f} to {high:+.3f}, 95 %), stage 2 {grpo:.3f}.",
    "zh": "{n} 段留出对话上每个回答 token 的损失：基础模型 {base:.3f}，阶段一 {sft:.3f}"
    "（95 % {low:+.3f} 至 {high:+.3f}），阶段二 {grpo:.3f}。",
}
SPEED_HEAD = {
    "en": ("training step", "the usual way", "ours", "times as fast", "range"),
    "zh": ("训练一步", "通常做法", "本系统", "倍数", "范围"),
}
SPEED_ROW = {
    "grpo": {"en": "stage 2, {} completions per prompt", "zh": "阶段二，每个提示 {} 个回答"},
    "sft": {"en": "stage 1, dialogues of uneven length", "zh": "阶段一，长短不一的对话"},
    "tokens": {"en": "{:.0f} tokens/s", "zh": "每秒 {:.0f} token"},
    "seconds": {"en": "{:.2f} s", "zh": "{:.2f} 秒"},
}
WORDS_HEAD = {
    "en": ("places", "who answers", "answers", "mean relative error", "95 %", "ranges that hold the truth"),
    "zh": ("地点", "谁来回答", "回答数", "平均相对误差", "95 %", "包含真值的范围"),
}
WORDS_ROW = {
    "simulated": {"en": "simulated counties", "zh": "模拟县"},
    "real": {"en": "real labelled scenes", "zh": "有标注的真实影像"},
    "system": {"en": "the system, by measuring", "zh": "本系统，量测"},
    "model": {"en": "the same model alone", "zh": "同一模型，只看图"},
}
COUNTY_HEAD = {
    "en": ("question", "first answer", "asked again", "memory"),
    "zh": ("问题", "首次回答", "再问", "内存"),
}
NONE = {"en": "no type", "zh": "无"}


def render(name: str, lang: str) -> str:
    """One table as Markdown; empty where no result is committed."""
    if name == "words":
        return _table(WORDS_HEAD[lang], _words(lang))
    if name == "speed":
        return _table(SPEED_HEAD[lang], [*_grpo_speed(lang), *_sft_speed(lang)])
    if name == "county":
        return _table(COUNTY_HEAD[lang], _county(lang))
    rows, notes = [], []
    for file, title in TABLES[name].items():
        path = RESULTS / file
        if path.exists():
            report = json.loads(path.read_text(encoding="utf-8"))
            rows += [_row(title[lang], stage, figures) for stage, figures in report["stages"].items()]
            notes.append(f"{title[lang]}: {_gain(report, lang)}")
            notes += _dialogues(report, lang)
    return _table(HEAD[lang], rows, "", *notes)


def _table(head: Sequence[str], rows: list[list[str]], *notes: str) -> str:
    if not rows:
        return ""
    top, *lines = ("| " + " | ".join(cells) + " |" for cells in (head, *rows))
    return "\n".join([top, "|" + "---|" * len(head), *lines, *notes]) + "\n"


def _words(lang: str) -> list[list[str]]:
    path, rows = RESULTS / "model_alone.json", []
    summary = json.loads(path.read_text(encoding="utf-8"))["summary"] if path.exists() else {}
    for places, found in summary.items():
        for way in ("system", "model"):
            error, held = found[way]["mean_relative_error"], found[way].get("coverage")
            interval = "-".join(f"{limit:.1%}" for limit in error["ci95"]) if error["ci95"] else "–"
            share = f"{held['value']:.0%} ({held['n']})" if held else "–"
            cells = [WORDS_ROW[places][lang], WORDS_ROW[way][lang], str(found[way]["answered"])]
            rows.append([*cells, f"{error['value']:.1%}", interval, share])
    return rows


def _county(lang: str) -> list[list[str]]:
    path, rows, seconds = RESULTS / "county.json", [], SPEED_ROW["seconds"][lang]
    for found in json.loads(path.read_text(encoding="utf-8"))["rows"] if path.exists() else []:
        times = [
            f"{found['first_seconds']:.0f} {'s' if lang == 'en' else '秒'}",
            seconds.format(found["again_seconds"]),
        ]
        rows.append([found["question"], *times, f"{found['peak_gib']:.1f} GiB"])
    return rows


def _grpo_speed(lang: str) -> list[list[str]]:
    path, rows = RESULTS / "grpo_speed.json", []
    results = json.loads(path.read_text(encoding="utf-8"))["results"] if path.exists() else []
    for found in sorted(results, key=lambda found: int(found["group"])):
        low, high = found["ratio_range"]
        times = [SPEED_ROW["seconds"][lang].format(found[key]) for key in ("stock_seconds", "ours_seconds")]
        cells = [SPEED_ROW["grpo"][lang].format(found["group"]), *times]
        rows.append([*cells, f"{found['ratio_median']:.2f}", f"{low:.2f}-{high:.2f}"])
    return rows


def _sft_speed(lang: str) -> list[list[str]]:
    path = RESULTS / "sft_speed.json"
    if not path.exists():
        return []
    found = json.loads(path.read_text(encoding="utf-8"))
    low, high = found["ratio_range"]
    speeds = [SPEED_ROW["tokens"][lang].format(found["tokens_per_second"][way]) for way in ("padded", "packed")]
    return [[SPEED_ROW["sft"][lang], *speeds, f"{found['ratio_median']:.2f}", f"{low:.2f}-{high:.2f}"]]


def _row(title: str, stage: str, figures: dict[str, Any]) -> list[str]:
    low, high = figures["ci95"]["sampled"]
    cells = [title, stage, str(figures["n"]), f"{figures['reward_greedy']:.3f}", f"{figures['reward_sampled']:.3f}"]
    return [*cells, f"{low:.3f}-{high:.3f}", f"{figures['majority']:.3f}", f"{figures['shuffled']:.3f}"]


def _gain(report: dict[str, Any], lang: str) -> str:
    gain = report["gain"]["grpo_minus_sft"]
    kinds = ", ".join(report["stages"]["grpo"]["types_above_both_floors"]) or NONE[lang]
    return GAIN[lang].format(value=gain["value"], low=gain["ci95"][0], high=gain["ci95"][1], kinds=kinds)


def _dialogues(report: dict[str, Any], lang: str) -> list[str]:
    if "dialogues" not in report:
        return []
    found = report["dialogues"]["loss"]
    low, high = found["sft_minus_base"]["ci95"]
    means = {stage: found[stage]["value"] for stage in ("base", "sft", "grpo")}
    return [DIALOGUES[lang].format(n=report["dialogues"]["n"], low=low, high=high, **means)]


def filled(text: str, lang: str) -> str:
    """A README with every table rewritten."""
    pattern = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
    return pattern.sub(lambda match: match.group(1) + render(match.group(2), lang) + match.group(3), text)


def main() -> int:
    """Rewrite or check both READMEs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    stale = []
    for name, lang in READMES.items():
        path = REPO / name
        text = path.read_text(encoding="utf-8")
        new = filled(text, lang)
        if new != text:
            stale.append(name)
            if not args.check:
                path.write_text(new, encoding="utf-8")
    print(f"out of date: {', '.join(stale)}" if stale else "tables are up to date")
    return 1 if stale and args.check else 0


if __name__ == "__main__":
    run_command(main)
