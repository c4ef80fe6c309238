"""Claims of a Markdown table: each cell with a number takes the words of its column's head and of its row."""

import re

from src.assistant.checking.numbers import Number
from src.assistant.checking.segments import ATTRIBUTES, Claim, Scope, class_roles, grouped, with_unit
from src.assistant.checking.tokens import Token

_TABLE_ROW = re.compile(r"^[ \t]*\|.*\|[ \t]*$", re.MULTILINE)
_HEADER_UNIT = re.compile(r"(?:\(|/|,\s?|^|\s)(万?亩|公顷|平方公里|平方米|%|ha|mu|km2|m2)(?:\)|$|\s|,|;)")
_HEADER_FACTORS = {
    **{
        "亩": ("area", 2000 / 3),
        "万亩": ("area", 2e7 / 3),
        "公顷": ("area", 1e4),
        "平方公里": ("area", 1e6),
        "平方米": ("area", 1.0),
    },
    **{"%": ("share", 0.01), "ha": ("area", 1e4), "mu": ("area", 2000 / 3), "km2": ("area", 1e6), "m2": ("area", 1.0)},
}


def table_blocks(text: str) -> list[tuple[int, int]]:
    """Spans of the tables of a clean text: rows that follow each other."""
    blocks: list[tuple[int, int]] = []
    for first, last in (match.span() for match in _TABLE_ROW.finditer(text)):
        if blocks and first <= blocks[-1][1] + 1:
            blocks[-1] = (blocks[-1][0], last)
        else:
            blocks.append((first, last))
    return blocks


def table(text: str, tokens: list[Token], far: Scope, found: list[Claim], span: tuple[int, int]) -> None:
    """Each cell with a number takes the words of its column's head and of its row's cells without numbers."""
    lines, start = [], span[0]
    for line in text[span[0] : span[1]].split("\n"):
        lines.append((start, start + len(line)))
        start += len(line) + 1
    grid = [_cells(text, line, tokens) for line in lines if not re.fullmatch(r"[\s|:~-]*", text[line[0] : line[1]])]
    if not grid:
        return
    head = grid[0]
    corner = [one for one in head[0][1] if one.kind in ("class", "place", "county", "date")] if head else []
    caption_unit = _HEADER_UNIT.search(text[max(0, span[0] - 40) : span[0]])
    for row in grid:
        labels = [(index, cell) for index, (_, cell) in enumerate(row) if not any(one.kind == "number" for one in cell)]
        for index, (_, cell) in enumerate(row):
            if not any(one.kind == "number" for one in cell):
                continue
            column = head[index] if row is not head and index < len(head) else ("", [])
            label_words = [one for position, words in labels if position < max(1, index) for one in words]
            named = {one.kind for one in (*label_words, *column[1])}
            if row is not head:
                label_words += [one for one in corner if one.kind not in named]
            _cell_claims(cell, column, label_words, far, found, caption_unit)


def _cells(text: str, line: tuple[int, int], tokens: list[Token]) -> list[tuple[str, list[Token]]]:
    bars = [line[0] + match.start() for match in re.finditer(r"\|", text[line[0] : line[1]])]
    return [
        (text[first + 1 : last].strip(), [one for one in tokens if first < one.start < last])
        for first, last in zip(bars, bars[1:], strict=False)
    ]


def _cell_claims(
    cell: list[Token],
    column: tuple[str, list[Token]],
    labels: list[Token],
    far: Scope,
    found: list[Claim],
    caption_unit: re.Match[str] | None,
) -> None:
    unit = _HEADER_UNIT.search(column[0]) or caption_unit
    first: Claim | None = None
    heads = [one for one in column[1] if one.kind != "number"]
    inner = [one for one in cell if one.kind != "number"]
    for token in (one for one in cell if one.kind == "number"):
        number: Number = token.value
        if unit and number.dimension == "" and (number.noun == "" or unit[1] != ""):
            number = with_unit(number, *_HEADER_FACTORS[unit[1]])
        words = [*labels, *heads, *inner]
        own = grouped(words)
        roles = class_roles(labels) | class_roles(heads) | class_roles(inner)
        row_classes = [one for one in labels if one.kind == "class"]
        head_classes = [one for one in heads if one.kind == "class"]
        if len(row_classes) == 1 and len(head_classes) == 1 and not roles:
            # A matrix: rows are the first date, columns the second.
            roles = {row_classes[0].start: "from", head_classes[0].start: "to"}
        marks = [one.kind for one in words if one.kind not in ATTRIBUTES]
        claim = Claim(
            *(token, number, own, {}, {k: v for k, v in far.items() if k not in own}),
            recent=far.get("class", []),
            marks=marks,
            roles=roles,
            head=first,
            table=True,
        )
        for end in ("low", "high"):
            claim.end = end if end in marks else claim.end
        found.append(claim)
        first = first or claim
