"""The table of questions, and a query as one line: metric, then every field that is set, but for the language.

``tests/fixtures/questions.jsonl`` holds ``set``, ``form`` (number in the facts), ``q`` and ``want``. "2024-12-31" is
today. A zone is written ``kind:name/part`` with "-" before it for its outside; the other sides of a comparison as
``metric,field=value`` of what differs.
"""

import json
from datetime import date
from pathlib import Path

from src.assistant.query import Known, Query, ZoneRef

AS_OF = date(2024, 12, 31)
PATCHES = ("510723-20241028-20-00001", "510723-20241028-DT-00002")
KNOWN = Known(
    dates=("2022-04-20", "2023-04-20", "2024-04-25"),
    zones={
        "town": ("双口镇", "松河镇", "金塘镇", "青禾乡", "A乡", "B乡"),
        "reserve": ("云岭自然保护区",),
        "basic_farmland": ("永久基本农田",),
        "river": ("金河",),
    },
    county="金滩县",
)
_FILE = Path(__file__).parents[1] / "fixtures" / "questions.jsonl"
ROWS: list[dict] = [json.loads(line) for line in _FILE.read_text(encoding="utf-8").splitlines()]


def rows(*sets: str) -> list[dict]:
    """Rows of some sets."""
    return [row for row in ROWS if row["set"] in sets]


def line(query: Query) -> str:
    """The query as one line."""
    return " ".join([query.metric, *(f"{key}={value}" for key, value in _fields(query).items())])


def same(query: Query, want: str) -> bool:
    """Whether a query is the wanted one, whatever the order of the fields."""
    return sorted(line(query).split(" ")) == sorted(want.split(" "))


def _fields(query: Query) -> dict[str, str]:
    found = {}
    for key, value in query.to_json().items():
        if key in ("lang", "source", "metric", "others") or value in (None, [], ()):
            continue
        if key == "zone":
            assert query.zone is not None
            found[key] = _zone(query.zone)
        elif key == "rank":
            found[key] = f"{value['n']}{value['order']}"
        elif key == "formats":
            found[key] = "+".join(value)
        else:
            found[key] = f"{value:.10g}" if isinstance(value, float) else str(value)
    for other in query.others:
        differs = [f"{key}={value}" for key, value in _fields(other).items() if found.get(key) != value]
        found["others"] = ";".join(
            [*([found["others"]] if "others" in found else []), ",".join([other.metric, *differs])]
        )
    return found


def _zone(zone: ZoneRef) -> str:
    name = f":{zone.name}" if zone.name else ""
    town = f"@{zone.town}" if zone.town else ""
    return f"{'' if zone.inside else '-'}{zone.type}{name}{f'/{zone.part}' if zone.part else ''}{town}"
