"""Data of one's own: files into the session's workspace, questions back about them, and the status line."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from src.assistant.demo import STEP_TEXT
from src.assistant.text import day
from src.errors import LandUseError
from src.geo.workspace import Workspace
from src.serve.context import PageContext
from src.serve.handlers import Desk, Updates
from src.serve.map_view import zone_label, zone_layers
from src.serve.parts import Parts
from src.serve.quick import MOST, questions
from src.serve.sessions import Session
from src.serve.texts import Lang, say
from src.serve.uploads import Added, Question, UploadError, answer_question, take_data
from src.serve.view import header, status_line

# What is asked about one file at a time; more would not be filled in.
SLOTS = 2
_LISTED_DATES = 3


@dataclass(frozen=True)
class Pending:
    """Questions about files that are still open, and what was answered about the first."""

    questions: tuple[Question, ...] = ()
    answers: tuple[tuple[str, str], ...] = ()


class DataPanel:
    """Uploads, and what the status line and the buttons say about the data."""

    def __init__(self, desk: Desk, parts: Parts) -> None:
        self.desk, self.parts = desk, parts

    async def add(self, files: list[str] | None, with_base: bool, lang: Lang, request: gr.Request) -> Updates:
        """Take the chosen files."""
        if not files:
            return {self.parts.files: None}
        return await asyncio.to_thread(self._add, [Path(one) for one in files], with_base, lang, request)

    def _add(self, files: Sequence[Path], with_base: bool, lang: Lang, request: gr.Request) -> Updates:
        context, session = self.desk.context, self.desk.session(request)
        base = context.county.get() if with_base else None
        results = take_data(context.sessions, session, files, base)
        context.forget(session.workspace_root)
        questions_left = tuple(one for one in results if isinstance(one, Question))
        lines = [one.say[lang] for one in results if not isinstance(one, Question)]
        failed = any(isinstance(one, UploadError) for one in results)
        return {self.parts.files: None, **self._after(session, Pending(questions_left), lines, failed, lang)}

    async def go_on(self, pending: Pending, with_base: bool, lang: Lang, request: gr.Request, *filled: Any) -> Updates:
        """Take the answers of the form: first the choices, then the texts of the slots."""
        return await asyncio.to_thread(self._go_on, pending, with_base, lang, request, filled)

    def _go_on(
        self, pending: Pending, with_base: bool, lang: Lang, request: gr.Request, filled: Sequence[Any]
    ) -> Updates:
        context, session = self.desk.context, self.desk.session(request)
        question = pending.questions[0]
        answers = dict(pending.answers)
        for slot, ask in enumerate(question.asks[:SLOTS]):
            value = filled[slot] if ask.choices else filled[SLOTS + slot]
            answers[ask.field] = str(value or "").strip()
        base = context.county.get() if with_base else None
        rest = pending.questions[1:]
        try:
            result = answer_question(context.sessions, session, question.upload, answers, base)
        except UploadError as error:
            return self._after(session, Pending(rest), [error.say[lang]], True, lang)
        context.forget(session.workspace_root)
        if isinstance(result, Added):
            return self._after(session, Pending(rest), [result.say[lang]], False, lang)
        return self._after(session, Pending((result, *rest), tuple(answers.items())), [], False, lang)

    async def skip(self, pending: Pending, lang: Lang, request: gr.Request) -> Updates:
        """Leave the file that is asked about."""
        session = await asyncio.to_thread(self.desk.session, request)
        return self._after(session, Pending(pending.questions[1:]), [], False, lang)

    def _after(self, session: Session, pending: Pending, lines: Sequence[str], failed: bool, lang: Lang) -> Updates:
        parts, own = self.parts, self.desk.context.sessions.own_workspace(session)
        items = "".join(f"<li>{escape(line)}</li>" for line in lines)
        state = " failed" if failed else ""
        updates: Updates = {
            parts.data_log: f'<ul class="data-log{state}">{items}</ul>' if lines else "",
            parts.pending: pending,
            **form(parts, pending, lang),
        }
        if own is not None and own.scenes():
            updates[parts.which] = gr.update(value="own", interactive=True)
        return updates | self.status("own" if own is not None else "shared", lang, session)

    def status(self, which: str, lang: Lang, session: Session) -> Updates:
        """The status line and the questions on the buttons."""
        parts, context, view = self.parts, self.desk.context, self.desk.view(session, which)
        if context.county.state != "ready":
            return {parts.status: status_line(_loading(context, lang)), **_buttons(parts, [])}
        workspace = context.workspace(view)
        known = context.assistant(view).county.known()
        own = context.sessions.own_workspace(view) is not None
        line = [*_county(workspace, own, context.demo, lang), _model(context, lang)]
        return {parts.status: status_line(line), **_buttons(parts, questions(known, lang))}

    async def look(self, which: str, lang: Lang, request: gr.Request) -> Updates:
        """The status, at each tick and on every change of county or language."""
        session = await asyncio.to_thread(self.desk.session, request)
        try:
            return await asyncio.to_thread(self.status, which, lang, session)
        except LandUseError:
            return {self.parts.status: status_line(_loading(self.desk.context, lang))}

    async def switch(self, lang: Lang, which: str, pending: Pending, choices: Updates, request: gr.Request) -> Updates:
        """Every label, and all that was said, in the other language; what was typed stays."""
        desk, parts = self.desk, self.parts
        session = await asyncio.to_thread(desk.session, request)
        messages = await asyncio.to_thread(desk.messages, session)
        desk.langs[session.id] = {one.number: lang for one in messages}
        texts = parts.labels.updates(lang)
        for part, update in choices.items():
            texts[part] = {**texts[part], **update}
        chat = {**texts[parts.chat], "value": await asyncio.to_thread(desk.chat, session)}
        said = {parts.header: header(lang), parts.chat: chat, **form(parts, pending, lang)}
        return texts | said | await self.look(which, lang, request)


def form(parts: Parts, pending: Pending, lang: Lang) -> Updates:
    """The questions about the first open file; hidden where there is none."""
    if not pending.questions:
        return {parts.form: gr.update(visible=False)}
    question = pending.questions[0]
    updates: Updates = {
        parts.form: gr.update(visible=True),
        parts.form_title: f'<p class="ask-more">{escape(question.say[lang])}</p>',
    }
    for slot in range(SLOTS):
        ask = question.asks[slot] if slot < len(question.asks) else None
        choices = [(zh if lang == "zh" else en, value) for value, zh, en in ask.choices] if ask else []
        title = ask.say[lang] if ask else ""
        updates[parts.form_choices[slot]] = gr.update(choices=choices, value=None, label=title, visible=bool(choices))
        hint = ask.hint[lang] if ask and ask.hint else ""
        free = ask is not None and not choices
        updates[parts.form_texts[slot]] = gr.update(value="", label=title, placeholder=hint, visible=free)
    return updates


def _county(workspace: Workspace, own: bool, demo: bool, lang: Lang) -> list[tuple[str, str, str]]:
    name = workspace.name or say("unnamed", lang)
    notes = [say("own_county", lang)] if own else [say("demo_county", lang)] if demo else []
    notes += [say("as_of", lang, day=day(workspace.as_of, lang))] if workspace.as_of else []
    gap = "，" if lang == "zh" else ", "
    records = [scene.record for scene in workspace.scenes()]
    last = [f"{one.date} ({say('clear', lang, share=f'{one.clear_share:.0%}')})" for one in records[-_LISTED_DATES:]]
    more = [say("more", lang, n=len(records))] if len(records) > _LISTED_DATES else []
    zones = [zone_label(kind, lang) for kind, _ in zone_layers(workspace)]
    return [
        (say("county", lang), gap.join([name, *notes]), ""),
        (say("images", lang), gap.join([*last, *more]) or say("none", lang), ""),
        (say("zones", lang), ("、" if lang == "zh" else ", ").join(zones) or say("none", lang), ""),
    ]


def _model(context: PageContext, lang: Lang) -> tuple[str, str, str]:
    state = context.backend.state
    text = say(f"state_{state}", lang)
    if state == "ready":
        load = context.backend.get().status()
        text += f" · {say('queue', lang, active=load['active'], waiting=load['waiting'])}"
    return say("model", lang), text, state


def _loading(context: PageContext, lang: Lang) -> list[tuple[str, str, str]]:
    state = context.county.state
    text = context.county.error if state == "failed" else f"{STEP_TEXT[lang]} {context.county.step[1]:.0%}"
    return [(say("county", lang), text, state), _model(context, lang)]


def _buttons(parts: Parts, texts: Sequence[str]) -> Updates:
    shown = [*texts, *[""] * (MOST - len(texts))]
    return {button: gr.update(value=text, visible=bool(text)) for button, text in zip(parts.quick, shown, strict=True)}
