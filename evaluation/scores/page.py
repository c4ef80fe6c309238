"""A page of headings, paragraphs, tables and pictures, as Markdown and as one HTML file that needs no other.

Texts may come from a model, so everything is escaped in both forms.
"""

import base64
import html
import re
from collections.abc import Sequence
from dataclasses import dataclass

_STYLE = """
body{max-width:68rem;margin:2rem auto;padding:0 1rem;color:#222;background:#fff;
font:16px/1.6 system-ui,"Noto Sans CJK SC","PingFang SC","Microsoft YaHei",sans-serif}
h1{font-size:1.6rem;line-height:1.25}h3{font-size:1rem;margin-bottom:0}
h2{font-size:1.2rem;margin-top:2.2rem;border-bottom:1px solid #ddd}
.table{overflow-x:auto}table{border-collapse:collapse;margin:1rem 0;font-variant-numeric:tabular-nums}
th,td{padding:.3rem .6rem;border-bottom:1px solid #e5e5e5;text-align:right;vertical-align:top;white-space:nowrap}
th{border-bottom:2px solid #888;font-weight:600;white-space:normal}th:first-child,td:first-child{text-align:left}
table.words :is(th,td){text-align:left;white-space:normal;overflow-wrap:anywhere}
table.words :is(th,td):first-child{white-space:nowrap}.lead{font-size:1.1rem;background:#f3f7fa;padding:.6rem 1rem;
border-left:4px solid #0072b2}.warning{background:#fff4e8;border-left:4px solid #d55e00;padding:.6rem 1rem}
figure{margin:1.5rem 0}img{max-width:100%}figcaption{color:#555;font-size:.9rem}
"""


@dataclass(frozen=True)
class Heading:
    """A title: level 1 once, level 2 for the parts, level 3 inside them."""

    text: str
    level: int = 2


@dataclass(frozen=True)
class Text:
    """A paragraph; ``kind`` "lead" and "warning" stand out."""

    text: str
    kind: str = ""


@dataclass(frozen=True)
class Grid:
    """A table; ``words`` for cells of running text instead of numbers."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    words: bool = False


@dataclass(frozen=True)
class Picture:
    """A PNG that lies beside the Markdown under ``name`` and inside the HTML."""

    name: str
    caption: str
    png: bytes


Block = Heading | Text | Grid | Picture


def markdown(blocks: Sequence[Block]) -> str:
    """The page as Markdown (GitHub's tables); pictures by file name."""
    return "\n\n".join(_markdown(block) for block in blocks) + "\n"


def _markdown(block: Block) -> str:
    match block:
        case Heading():
            return f"{'#' * block.level} {_plain(block.text)}"
        case Text():
            body = _plain(block.text)
            return f"> {body}" if block.kind else body
        case Picture():
            return f"![{_plain(block.caption)}]({block.name})"
        case Grid():
            # Numbers to the right, their names to the left.
            rule = "|".join(["---", *(["---" if block.words else "---:"] * (len(block.head) - 1))])
            rows = [" | ".join(_plain(cell) for cell in row) for row in (block.head, *block.rows)]
            return "\n".join([f"| {rows[0]} |", f"|{rule}|", *(f"| {row} |" for row in rows[1:])])


def _plain(text: str) -> str:
    """One line in which nothing is markup."""
    line = " ".join(text.split())
    return re.sub(r"([\\`*_\[\]|#!~])", r"\\\1", line).replace("<", "&lt;")


def page(blocks: Sequence[Block], title: str, lang: str) -> str:
    """The page as one HTML file with its style and its pictures inside."""
    body = "\n".join(_html(block) for block in blocks)
    tag = {"zh": "zh-CN"}.get(lang, lang)
    return (
        f'<!DOCTYPE html>\n<html lang="{tag}">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def _html(block: Block) -> str:
    match block:
        case Heading():
            return f"<h{block.level}>{html.escape(block.text)}</h{block.level}>"
        case Text():
            mark = f' class="{block.kind}"' if block.kind else ""
            return f"<p{mark}>{html.escape(block.text)}</p>"
        case Picture():
            data = base64.b64encode(block.png).decode("ascii")
            caption = html.escape(block.caption)
            image = f'<img alt="{caption}" src="data:image/png;base64,{data}">'
            return f"<figure>{image}<figcaption>{caption}</figcaption></figure>"
        case Grid():
            head = "".join(f"<th>{html.escape(cell)}</th>" for cell in block.head)
            rows = ("".join(f"<td>{html.escape(cell)}</td>" for cell in row) for row in block.rows)
            body = "".join(f"<tr>{row}</tr>" for row in rows)
            mark = ' class="words"' if block.words else ""
            return f'<div class="table"><table{mark}><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
