"""An answer as HTML: value cards, caveats, tables, chart, sources, trace, review queue.

``gr.HTML`` shows what it is given, so every value passes ``escape`` here.
"""

from collections.abc import Sequence
from html import escape

from src.assistant.answer import Answer, cards, caveat_lines, label, trace
from src.assistant.record import SCENE_REASONS, Evidence, Figure, PatchRow
from src.assistant.review import CAUSES, HEADINGS, STATES, Decision
from src.assistant.text import SECTORS, SENSOR_NAMES, Say, day, pick, place_name, type_name
from src.constants import LAND_CLASS_NAMES
from src.geo.patches.fields import CHANGE_TYPES
from src.serve.chart import series_chart
from src.serve.texts import TABLE_WORDS, Lang, say

_STATUS_TAGS = {"measured": "tag_measured", "cannot_tell": "tag_cannot_tell", "words": "tag_words"}


def in_language(evidence: Evidence, lang: Lang) -> Evidence:
    """The same evidence, to be said in another language."""
    return evidence.model_copy(update={"query": evidence.query.changed(lang=lang)})


def tag(answer: Answer, lang: Lang) -> str:
    """One line that says what an answer is worth: measured, cannot tell, or a model's impression."""
    evidence = answer.evidence
    key = "tag_impression" if evidence is None else _STATUS_TAGS[evidence.status]
    return f"{say(key, lang)} · {say('tag_seconds', lang, s=f'{answer.seconds:.1f}')}"


def safe_markdown(text: str) -> str:
    """A text for the conversation: no HTML and no pictures, which could call other hosts."""
    return escape(text, quote=False).replace("![", "!\u200b[")


def status_line(parts: Sequence[tuple[str, str, str]]) -> str:
    """Status of county, data and model: (label, text, mark), the mark one of "", "ready", "loading", "failed"."""
    items = "".join(
        f'<span class="status-item"><b>{escape(label)}</b> '
        + (f'<i class="mark {mark}"></i>' if mark else "")
        + f"{escape(text)}</span>"
        for label, text, mark in parts
    )
    return f'<div class="status" role="status">{items}</div>'


def header(lang: Lang) -> str:
    """Title, one line, three cards."""
    tiles = "".join(
        f'<div class="tile"><b>{say(f"card_{key}", lang)}</b><span>{say(f"card_{key}_note", lang)}</span></div>'
        for key in ("monitor", "ask", "decide")
    )
    return (
        f'<div class="headline"><h1>{say("title", lang)}</h1><p>{say("tagline", lang)}</p></div>'
        f'<div class="tiles">{tiles}</div>'
    )


def answer_head(answer: Answer, lang: Lang) -> str:
    """What the chosen answer is worth, its value cards and caveats."""
    evidence = answer.evidence
    mark = "impression" if evidence is None else evidence.status
    head = f'<div class="asked"><span class="tag {mark}">{escape(tag(answer, lang))}</span></div>'
    if evidence is None:
        return head
    said = in_language(evidence, lang)
    tiles = "".join(
        f'<div class="card"><span>{escape(card.label)}</span><strong>{escape(card.value)}</strong>'
        f"<em>{escape(card.note)}</em></div>"
        for card in cards(said)
    )
    lines = "".join(f"<li>{escape(line)}</li>" for line in caveat_lines(said))
    caveats = f'<details class="caveats"><summary>{say("caveats", lang)}</summary><ul>{lines}</ul></details>'
    return head + (f'<div class="cards">{tiles}</div>' if tiles else "") + (caveats if lines else "")


def html_table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], *, caption: str = "", numbers: Sequence[int] = ()
) -> str:
    """A table of texts; the columns named in ``numbers`` are set flush right."""

    def cell(index: int, text: str) -> str:
        return f'<td class="number">{escape(text)}</td>' if index in numbers else f"<td>{escape(text)}</td>"

    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in columns)
    body = "".join(f"<tr>{''.join(cell(i, text) for i, text in enumerate(row))}</tr>" for row in rows)
    title = f"<caption>{escape(caption)}</caption>" if caption else ""
    return f'<div class="scroll"><table>{title}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def tables(evidence: Evidence, lang: Lang) -> str:
    """The tables of an answer, the first of dates with its chart."""
    said = in_language(evidence, lang)
    words = Say(said)
    by_key = {figure.key: figure for figure in said.figures}
    parts = [] if (picture := series_chart(said)) is None else [picture]
    for table in said.tables:
        rows = [[_cell(cell, by_key, words) for cell in row] for row in table.rows]
        columns = [_name(column, lang) for column in table.columns]
        parts.append(html_table(columns, rows, caption=_name(table.name, lang), numbers=range(1, len(columns))))
    return "".join(parts) or f'<p class="nothing">{say("tables_empty", lang)}</p>'


def _cell(cell: str, figures: dict[str, Figure], words: Say) -> str:
    figure = figures.get(cell)
    if figure is None:
        return _name(cell, words.evidence.query.lang)
    return f"-{words.short(figure)}" if figure.value < 0 and figure.dimension != "count" else words.short(figure)


def _name(text: str, lang: Lang) -> str:
    """A class, direction, kind of zone, column or table in words; dates and names of places as they are."""
    for table in (LAND_CLASS_NAMES, SECTORS, CHANGE_TYPES, TABLE_WORDS):
        if text in table:
            return table[text][lang]
    return place_name(text, lang) if text else ""


def sources(evidence: Evidence, lang: Lang) -> str:
    """Scenes taken and left out, then accuracy figures."""
    words = Say(in_language(evidence, lang))
    rows = [
        [
            say("scene_used" if scene.used else "scene_left", lang),
            day(scene.date, lang),
            pick(SENSOR_NAMES, scene.sensor, lang),
            scene.level,
            f"{scene.clear_share:.1%}",
            "" if scene.cloud_percent is None else f"{scene.cloud_percent:.0f}%",
            pick(SCENE_REASONS, scene.why, lang),
        ]
        for scene in sorted(evidence.scenes, key=lambda one: (not one.used, one.date))
    ]
    keys = ("scene", "date", "sensor", "level", "clear", "cloud", "why")
    columns = [say(f"col_{key}", lang) for key in keys]
    accuracy = [
        [label(words, figure), words.short(figure), words.span(figure) if figure.bounds else ""]
        for figure in evidence.find(quantity="accuracy")
    ]
    below = (
        html_table([say(key, lang) for key in ("what", "figure", "interval")], accuracy, numbers=(1, 2))
        if accuracy
        else f"<p>{say('no_accuracy', lang)}</p>"
    )
    return (
        f"<h4>{say('sources_scenes', lang)}</h4>{html_table(columns, rows, numbers=(4, 5))}"
        f"<h4>{say('sources_accuracy', lang)}</h4>{below}"
    )


def basis(evidence: Evidence, lang: Lang) -> str:
    """The trace of an answer: what was asked, taken, done, found, and the evidence id."""
    said = in_language(evidence, lang)
    rows = "".join(f"<dt>{escape(label)}</dt><dd>{escape(text)}</dd>" for label, text in trace(said))
    return f'<dl class="trace">{rows}</dl>'


def review_table(patches: Sequence[PatchRow], decisions: dict[str, Decision], lang: Lang) -> str:
    """Patches of an answer with what was decided about them."""
    done = [decisions[row.id] for row in patches if row.id in decisions]
    head = say("review_pending", lang, n=len(patches) - len(done), m=len(done))
    rows = []
    for row in patches:
        last = decisions.get(row.id)
        state = STATES[last.new][lang] if last else pick(STATES, row.status, lang)
        rows.append(
            [row.id, type_name(row.kind, lang), row.grade, state, _cause(last, lang), last.note if last else ""]
        )
    keys = ("map_col_id", "map_col_kind", "map_col_grade", "review_state", "review_reason", "review_note")
    return f"<p>{escape(head)}</p>" + html_table([say(key, lang) for key in keys], rows)


def audit_table(decisions: Sequence[Decision], lang: Lang) -> str:
    """The audit log, the latest first."""
    if not decisions:
        return f'<p class="nothing">{say("review_log_empty", lang)}</p>'
    keys = ("number", "time", "user", "patch_id", "old", "new", "reason", "note")
    rows = [
        [str(one.number), one.time, one.user, one.patch_id, STATES[one.old][lang], STATES[one.new][lang]]
        + [_cause(one, lang), one.note]
        for one in reversed(decisions)
    ]
    return html_table([HEADINGS[key][lang] for key in keys], rows)


def _cause(decision: Decision | None, lang: Lang) -> str:
    return CAUSES[decision.reason][lang] if decision and decision.reason else ""
