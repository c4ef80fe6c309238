"""Pictures of the report as PNG: radar, dimensions with intervals, score against length.

The Chinese font is named per text (src/geo/maps/fonts.py), so neither the
system's fonts nor the settings of another figure matter.
"""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from evaluation.scores.marks import COLUMNS, COMPOSITE, Run
from evaluation.scores.reading import DIMENSIONS, SCORE_RANGE
from evaluation.scores.report_text import COLUMN_NAMES, text
from src.geo.maps.fonts import cjk_font

# Two colours that stay apart for colour-blind readers (Okabe and Ito 2008, https://jfly.uni-koeln.de/color/).
COLOURS = ("#0072B2", "#D55E00")
_DPI = 130
_GREY = "#888888"


def radar(runs: Sequence[Mapping[str, Any]], lang: str) -> bytes:
    """Mean over valid marks of the six dimensions, 1 to 10, one line a run.

    Args:
        runs: figures of one or two runs (``marks.run_figures``).
        lang: "zh" or "en".

    Returns:
        A PNG.
    """
    figure = Figure(figsize=(6.2, 4.8), dpi=_DPI)
    axes = figure.add_subplot(projection="polar")
    angles = np.linspace(0, 2 * np.pi, len(DIMENSIONS), endpoint=False)
    around = np.append(angles, angles[0])
    for run, colour in zip(runs, COLOURS, strict=False):
        values = [_value(run, name) for name in DIMENSIONS]
        closed = np.array([*values, values[0]])
        axes.plot(around, closed, color=colour, marker="o", markersize=4, label=run["name"])
        axes.fill(around, closed, color=colour, alpha=0.12)
    axes.set_ylim(0, SCORE_RANGE[1])
    axes.set_yticks([2, 4, 6, 8, 10], labels=["2", "4", "6", "8", "10"], color=_GREY, fontsize=7)
    axes.set_theta_offset(np.pi / 2)  # type: ignore[attr-defined]  # a polar axes has it
    names = [COLUMN_NAMES[name][lang].replace("Relationship ", "Relationship\n") for name in DIMENSIONS]
    axes.set_xticks(angles, labels=names, fontproperties=cjk_font(8.5))
    axes.tick_params(axis="x", pad=20)
    _legend(axes, len(runs), loc="lower left", bbox_to_anchor=(-0.35, -0.12))
    return _png(figure)


def before_after(runs: Sequence[Mapping[str, Any]], lang: str) -> bytes:
    """Every column with its interval, first and second run above each other."""
    figure = Figure(figsize=(7.2, 4.4), dpi=_DPI)
    axes = figure.add_subplot()
    rows = np.arange(len(COLUMNS))[::-1]
    for number, (run, colour) in enumerate(zip(runs, COLOURS, strict=False)):
        shift = 0 if len(runs) == 1 else 0.16 - 0.32 * number
        values = np.array([_value(run, name) for name in COLUMNS])
        limits = np.array([run["scores"][name]["valid"]["ci95"] or [np.nan, np.nan] for name in COLUMNS], dtype=float)
        axes.hlines(rows + shift, limits[:, 0], limits[:, 1], color=colour, linewidth=2.4, alpha=0.55)
        axes.plot(values, rows + shift, "o", color=colour, label=run["name"])
    axes.set_yticks(rows, labels=[COLUMN_NAMES[name][lang] for name in COLUMNS], fontproperties=cjk_font(9))
    axes.set_xlabel(text("score_axis", lang), fontproperties=cjk_font(9))
    axes.grid(axis="x", color="#dddddd", linewidth=0.7)
    axes.spines[["top", "right", "left"]].set_visible(False)
    _legend(axes, len(runs), loc="best")
    return _png(figure)


def score_length(runs: Sequence[Run], lang: str) -> bytes:
    """Composite against the length of each answer on a log scale, with the least-squares line of each run."""
    figure = Figure(figsize=(7.2, 4.0), dpi=_DPI)
    axes = figure.add_subplot()
    for run, colour in zip(runs, COLOURS, strict=False):
        scores = run.column(COMPOSITE)
        good = np.isfinite(scores) & (np.nan_to_num(run.lengths) > 0)
        x, y = np.log2(run.lengths[good]), scores[good]
        axes.plot(2**x, y, "o", color=colour, markersize=4, alpha=0.45, markeredgewidth=0, label=run.name)
        if len(x) > 2 and np.ptp(x) > 0:
            slope, offset = np.polyfit(x, y, 1)
            ends = np.array([x.min(), x.max()])
            axes.plot(2**ends, slope * ends + offset, color=colour, linewidth=1.6)
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.set_ylim(SCORE_RANGE[0] - 0.3, SCORE_RANGE[1] + 0.3)
    axes.set_xlabel(text("length_axis", lang), fontproperties=cjk_font(9))
    axes.set_ylabel(text("score_axis", lang), fontproperties=cjk_font(9))
    axes.grid(color="#eeeeee", linewidth=0.7)
    axes.spines[["top", "right"]].set_visible(False)
    _legend(axes, len(runs), loc="best")
    return _png(figure)


def _value(run: Mapping[str, Any], name: str) -> float:
    value = run["scores"][name]["valid"]["value"]
    return np.nan if value is None else value


def _legend(axes: Axes, runs: int, **place: Any) -> None:
    if runs > 1:
        axes.legend(prop=cjk_font(9), frameon=False, **place)


def _png(figure: Figure) -> bytes:
    target = io.BytesIO()
    # No date inside: the same figures give the same file.
    figure.savefig(target, format="png", bbox_inches="tight", metadata={"Software": None})
    return target.getvalue()
