"""Areas over time as a small picture in the page, with their intervals."""

import base64
import io
from datetime import date
from html import escape

from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num
from matplotlib.figure import Figure as Picture

from src.answers.units import AREA_UNIT_NAMES
from src.assistant.record import Evidence, Figure
from src.assistant.text import Say, class_name
from src.constants import AREA_UNITS_M2, LAND_CLASS_IDS
from src.geo.maps.fonts import cjk_font
from src.geo.maps.pictures import COVER_COLOURS

_LEAST_DATES = 3
_SIZE_IN = (7.2, 2.7)


def series_chart(evidence: Evidence) -> str | None:
    """Areas (or shares, or indices) by date as an ``<img>`` with a description; None below three dates."""
    lines: dict[tuple[str, str], list[Figure]] = {}
    for figure in evidence.find(quantity="series"):
        if figure.t2 is not None:
            lines.setdefault((figure.cls or "", figure.place or ""), []).append(figure)
    lines = {key: sorted(line, key=lambda one: str(one.t2)) for key, line in lines.items()}
    if not any(len(line) >= _LEAST_DATES for line in lines.values()):
        return None
    say = Say(evidence)
    picture = Picture(figsize=_SIZE_IN, layout="constrained")
    axes = picture.add_subplot()
    unit = ""
    for (cls, place), line in lines.items():
        scale, unit = _scale(line[0], say)
        name = " ".join(part for part in (place, class_name(cls, say.lang) if cls else "") if part)
        days = [float(date2num(date.fromisoformat(str(one.t2)))) for one in line]
        colour = _darker(COVER_COLOURS.get(LAND_CLASS_IDS.get(cls, 0), "#2F6F5E"))
        axes.plot(days, [one.value / scale for one in line], "o-", color=colour, label=name, markersize=4)
        if all(one.bounds for one in line):
            low, high = zip(*(one.bounds for one in line if one.bounds), strict=True)
            axes.fill_between(days, [v / scale for v in low], [v / scale for v in high], color=colour, alpha=0.2)
    _finish(axes, unit)
    target = io.BytesIO()
    picture.savefig(target, format="svg", metadata={"Date": None, "Creator": None})
    code = base64.b64encode(target.getvalue()).decode()
    names = ", ".join(" ".join(part for part in key if part) for key in lines)
    return f'<img class="chart" alt="{escape(names)}" src="data:image/svg+xml;base64,{code}">'


def _finish(axes: Axes, unit: str) -> None:
    axes.set_ylabel(unit.strip(), fontproperties=cjk_font(9))
    axes.legend(prop=cjk_font(8), frameon=False, loc="best")
    axes.xaxis_date()
    locator = AutoDateLocator()
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    axes.tick_params(labelsize=8)
    axes.grid(axis="y", color="#E5E7EB")
    axes.spines[["top", "right"]].set_visible(False)


def _darker(colour: str) -> tuple[float, float, float]:
    """A map colour, dark enough for a line on white."""
    red, green, blue = to_rgb(colour)
    return 0.72 * red, 0.72 * green, 0.72 * blue


def _scale(figure: Figure, say: Say) -> tuple[float, str]:
    """What to divide by, and the name of the unit then."""
    if figure.dimension == "area":
        return AREA_UNITS_M2[say.unit], AREA_UNIT_NAMES[say.unit][say.lang]
    return (0.01, "%") if figure.dimension == "share" else (1.0, "")
