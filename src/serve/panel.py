"""The evidence pane: what stands behind the chosen answer, its map, its review and its exports."""

import asyncio
import json
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from src.assistant.answer import Answer
from src.assistant.export import export_answer
from src.assistant.record import Evidence
from src.assistant.review import FALSE_CHANGE, STATES, ReviewLog
from src.serve.conversation import Message, in_shown_language
from src.serve.handlers import Desk, Updates, explain
from src.serve.map_view import empty_map, map_data
from src.serve.parts import Parts
from src.serve.pictures import draw_pictures
from src.serve.sessions import Session
from src.serve.texts import Lang, say
from src.serve.view import answer_head, audit_table, basis, review_table, sources, tables

# Kinds of files that an answer can be exported as, with the names on the buttons.
EXPORTS = {"docx": "Word", "xlsx": "Excel", "gpkg": "GPKG", "geojson": "GeoJSON", "csv": "CSV"}
_TITLE_LETTERS = 60


class Panel:
    """Evidence, review and exports of the answers of a session."""

    def __init__(self, desk: Desk, parts: Parts) -> None:
        self.desk, self.parts = desk, parts

    async def newest(self, lang: Lang, request: gr.Request) -> AsyncGenerator[Updates, None]:
        """After an answer: its evidence."""
        async for updates in self._show(None, lang, request):
            yield updates

    async def chosen(self, number: int | None, lang: Lang, request: gr.Request) -> AsyncGenerator[Updates, None]:
        """The evidence of the answer that was chosen."""
        async for updates in self._show(number, lang, request):
            yield updates

    async def relabelled(self, number: int | None, lang: Lang, request: gr.Request) -> AsyncGenerator[Updates, None]:
        """The same evidence in another language; the patch under review stays."""
        async for updates in self._show(number, lang, request, relabel=True):
            yield updates

    async def _show(
        self, number: int | None, lang: Lang, request: gr.Request, *, relabel: bool = False
    ) -> AsyncGenerator[Updates, None]:
        """Words first, then the map, whose pictures may have to be drawn."""
        session = await asyncio.to_thread(self.desk.session, request)
        messages = await asyncio.to_thread(self.desk.messages, session)
        answers = [one for one in messages if one.answer is not None]
        message = next((one for one in answers if one.number == number), answers[-1] if answers else None)
        picker = _picker(answers, message, lang)
        if message is None or message.answer is None:
            yield {self.parts.picker: picker, **self._nothing(lang)}
            return
        answer = message.answer
        view = self.desk.view(session, message.which)
        if not relabel:
            yield {self.parts.patch: gr.update(value=None)}
        yield {self.parts.picker: picker, **await asyncio.to_thread(self._words, answer, view, lang)}
        yield await asyncio.to_thread(self._pictures, answer, view, lang)

    def _nothing(self, lang: Lang) -> Updates:
        parts = self.parts
        return {
            parts.head: f'<p class="nothing">{say("evidence_empty", lang)}</p>',
            parts.map: json.dumps(empty_map(lang)),
            parts.slider: None,
            **dict.fromkeys((parts.tables, parts.sources, parts.basis, parts.queue, parts.audit), ""),
            parts.patch: gr.update(choices=[], value=None),
        }

    def _words(self, answer: Answer, view: Session, lang: Lang) -> Updates:
        parts, evidence = self.parts, answer.evidence
        shown = {parts.head: answer_head(answer, lang), parts.download: gr.update(visible=False)}
        if evidence is None:
            return self._nothing(lang) | shown
        log = self.desk.context.review_log(view)
        return shown | {
            parts.tables: tables(evidence, lang),
            parts.sources: sources(evidence, lang),
            parts.basis: basis(evidence, lang),
            parts.patch: gr.update(choices=[row.id for row in evidence.patches]),
            **self._review(evidence, log, lang),
        }

    def _review(self, evidence: Evidence, log: ReviewLog, lang: Lang) -> Updates:
        return {
            self.parts.queue: review_table(evidence.patches, log.latest(), lang),
            self.parts.audit: audit_table(log.audit(), lang),
        }

    def _pictures(self, answer: Answer, view: Session, lang: Lang) -> Updates:
        parts, evidence = self.parts, answer.evidence
        empty: Updates = {parts.map: json.dumps(empty_map(lang)), parts.slider: None}
        if evidence is None:
            return empty
        workspace = self.desk.context.workspace(view)
        pictures = draw_pictures(workspace, [scene.id for scene in evidence.scenes if scene.used])
        if pictures is None:
            return empty
        states = self.desk.context.review_log(view).states()
        rows = tuple(row.model_copy(update={"status": states.get(row.id, row.status)}) for row in evidence.patches)
        shown = evidence.model_copy(update={"patches": rows})
        data = map_data(shown, workspace, pictures, self._url, lang)
        both = (pictures.files.get("before"), pictures.files["after"])
        return {
            parts.map: json.dumps(data, ensure_ascii=False),
            parts.slider: tuple(self._copy(one) for one in both if one) if all(both) else None,
        }

    def _copy(self, path: Path) -> str:
        """A copy in Gradio's own folder, under the hash of its content: the only place that browsers may fetch from."""
        return str(self.parts.map.move_resource_to_block_cache(str(path)))

    def _url(self, path: Path) -> str:
        return f"gradio_api/file={self._copy(path)}"

    async def picked(self, event: gr.EventData) -> Updates:
        """A patch was chosen on the map or in its table: the review form takes it."""
        return {self.parts.patch: gr.update(value=event._data["id"])}

    async def save(
        self,
        number: int | None,
        patch: str | None,
        state: str,
        reason: str | None,
        note: str,
        lang: Lang,
        request: gr.Request,
    ) -> Updates:
        """Write a decision on a patch into the log."""
        answer, view = await asyncio.to_thread(self._answer_of, number, request)
        if answer is None or answer.evidence is None or not patch:
            gr.Warning(say("review_none", lang))
            return {self.parts.note: note}
        if state == FALSE_CHANGE and not reason:
            gr.Warning(say("review_cause", lang))
            return {self.parts.note: note}
        evidence, log = answer.evidence, self.desk.context.review_log(view)
        cause = (reason or "") if state == FALSE_CHANGE else ""
        await asyncio.to_thread(log.set, patch, state, request.username or "", cause, note.strip(), evidence.id)
        gr.Info(say("review_saved", lang, patch=patch, state=STATES[state][lang]))
        updates = await asyncio.to_thread(self._review, evidence, log, lang)
        return {self.parts.note: "", **updates, **await asyncio.to_thread(self._pictures, answer, view, lang)}

    def exporter(self, kind: str) -> Any:
        """The handler of one export button."""

        async def write(number: int | None, lang: Lang, request: gr.Request) -> Updates:
            return await self.export(kind, number, lang, request)

        return write

    async def export(self, kind: str, number: int | None, lang: Lang, request: gr.Request) -> Updates:
        """Write one file of exactly what is shown."""
        answer, view = await asyncio.to_thread(self._answer_of, number, request)
        if answer is None or answer.evidence is None or answer.evidence.status != "measured":
            gr.Warning(say("export_none", lang))
            return {self.parts.download: gr.update(visible=False)}
        try:
            path = await asyncio.to_thread(self._write, kind, answer, view, lang)
        except Exception as error:
            gr.Warning(explain(error, lang))
            return {self.parts.download: gr.update(visible=False)}
        return {self.parts.download: gr.update(value=str(path), visible=True)}

    def _write(self, kind: str, answer: Answer, view: Session, lang: Lang) -> Path:
        context = self.desk.context
        folder = context.sessions.download("answer").parent
        outputs = context.workspace(view).outputs
        return export_answer(answer, outputs, [kind], folder, lang, context.review_log(view))[kind]

    def _answer_of(self, number: int | None, request: gr.Request) -> tuple[Answer | None, Session]:
        session = self.desk.session(request)
        answers = [one for one in self.desk.messages(session) if one.answer is not None]
        message = next((one for one in answers if one.number == number), answers[-1] if answers else None)
        if message is None or message.answer is None:
            return None, session
        shown = in_shown_language(message.answer, self.desk.langs.get(session.id, {}).get(message.number))
        return shown, self.desk.view(session, message.which)


def _picker(answers: Sequence[Message], shown: Message | None, lang: Lang) -> Any:
    choices = [
        (f"{index}. {_short(one.answer.question)}", one.number)
        for index, one in enumerate(answers, 1)
        if one.answer is not None
    ]
    return gr.update(choices=choices, value=shown.number if shown else None, visible=bool(choices))


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _TITLE_LETTERS else f"{line[: _TITLE_LETTERS - 1]}…"
