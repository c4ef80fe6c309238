"""What happens on a question: async generators that tell the page how the answer comes along.

A question about land is measured in a thread of its own, with its steps shown;
talk about pictures streams from the model. A stop, a closed tab or a lost
connection closes the generator, which frees the worker at once. Whatever goes
wrong becomes one message to the one who asked.
"""

import asyncio
import logging
import re
import secrets
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from src.assistant.answer import Answer, impression
from src.assistant.county import STEPS, Progress, no_progress
from src.assistant.query import WORDS_ONLY, Query
from src.errors import LandUseError
from src.serve.context import NotReadyError, PageContext
from src.serve.conversation import (
    Dialogues,
    Message,
    bubbles,
    messages_of,
    model_messages,
    say_answer,
    say_notice,
    say_user,
)
from src.serve.jobs import Done, Jobs, Step, Waiting
from src.serve.parts import Parts
from src.serve.sessions import Session
from src.serve.storage import StorageError
from src.serve.texts import Lang, say
from src.serve.uploads import Media, UploadError, take_media

LOG = logging.getLogger(__name__)
# Answers on their way, those that wait their turn included; one more is refused at once.
MOST_ASKING = 64
# At most eight updates a second: each costs the server some milliseconds and the browser a drawing.
UPDATE_S = 0.125
# How long a stop waits for the stopped answer.
_STOP_S = 2.0
_ABOUT_PICTURES = re.compile(
    r"图中|图里|这张|这些图|图片|照片|视频|画面|\b(?:pictures?|photos?|videos?)\b", re.IGNORECASE
)
Updates = dict[Any, Any]


@dataclass(frozen=True)
class Asking:
    """How a question is to be answered: the inputs of ``Parts.settings``, in their order."""

    lang: Lang
    which: str
    mode: str
    temperature: float
    max_tokens: float
    top_p: float
    penalty: float
    system: str | None


@dataclass
class Desk:
    """What all handlers share.

    Args:
        context: options, model, county, sessions.
        jobs: the line of measurements.
        dialogues: what each session asked before.
        langs: language that answers up to a turn are shown in, by session: set by the language switch.
        busy: sessions with an answer on its way.
    """

    context: PageContext
    jobs: Jobs = field(default_factory=Jobs)
    dialogues: Dialogues = field(default_factory=Dialogues)
    langs: dict[str, dict[int, Lang]] = field(default_factory=dict)
    busy: set[str] = field(default_factory=set)

    def session(self, request: gr.Request) -> Session:
        """The asker's session."""
        return self.context.session(request)

    def view(self, session: Session, which: str) -> Session:
        """The session as the chosen data sees it: without its own workspace where the shared county is chosen."""
        return replace(session, root=session.root / "shared") if which == "shared" else session

    def messages(self, session: Session) -> list[Message]:
        """All turns of a session."""
        return messages_of(self.context.sessions, session)

    def chat(self, session: Session) -> list[dict[str, str]]:
        """The conversation as the page shows it."""
        return bubbles(self.messages(session), self.langs.get(session.id, {}))


class Talk:
    """Questions and their answers."""

    def __init__(self, desk: Desk, parts: Parts) -> None:
        self.desk, self.parts = desk, parts

    async def ask(self, message: dict[str, Any], request: gr.Request, *settings: Any) -> AsyncGenerator[Updates, None]:
        """A question from the input box, with pictures or without."""
        asking = Asking(*settings)
        text, files = (message.get("text") or "").strip(), [Path(one) for one in message.get("files") or ()]
        if text or files:
            async with aclosing(self._answer(text or say("look", asking.lang), files, asking, request)) as answer:
                async for updates in answer:
                    yield updates

    async def ask_text(self, text: str, request: gr.Request, *settings: Any) -> AsyncGenerator[Updates, None]:
        """A question from a button."""
        async with aclosing(self._answer(text, [], Asking(*settings), request)) as answer:
            async for updates in answer:
                yield updates

    async def again(self, request: gr.Request, *settings: Any) -> AsyncGenerator[Updates, None]:
        """The last question once more, with its pictures."""
        session = await asyncio.to_thread(self.desk.session, request)
        asked = [one for one in await asyncio.to_thread(self.desk.messages, session) if one.role == "user"]
        if asked:
            media = [
                Media(one["kind"], one["name"], tuple(map(session.path, one["frames"])), {}, one.get("fps", 1.0))
                for one in asked[-1].media
            ]
            async with aclosing(self._answer(asked[-1].text, [], Asking(*settings), request, media)) as answer:
                async for updates in answer:
                    yield updates

    async def load(self, lang: Lang, request: gr.Request) -> Updates:
        """The conversation of before, when the page opens."""
        session = await asyncio.to_thread(self.desk.session, request)
        own = await asyncio.to_thread(self.desk.context.sessions.own_workspace, session)
        messages = await asyncio.to_thread(self.desk.messages, session)
        chat = bubbles(messages, self.desk.langs.get(session.id, {}))
        which = gr.update(value="own" if own is not None and own.scenes() else "shared")
        return {**self._rest(chat, ""), self.parts.thumbs: self._thumbnails(session, messages), self.parts.which: which}

    async def new(self, lang: Lang, request: gr.Request) -> Updates:
        """A fresh session: no history, no data of one's own."""
        session = await asyncio.to_thread(self.desk.session, request)
        await asyncio.to_thread(self.desk.context.sessions.new, session.owner)
        if self.desk.context.backend.state == "ready":
            await asyncio.to_thread(self.desk.context.backend.get().forget, session.id)
        return await self.load(lang, request)

    async def stopped(self, lang: Lang, request: gr.Request) -> Updates:
        """After a stop: the conversation as it stands, once the stopped answer has put down what it had."""
        session = await asyncio.to_thread(self.desk.session, request)
        until = time.monotonic() + _STOP_S
        while session.id in self.desk.busy and time.monotonic() < until:
            await asyncio.sleep(UPDATE_S / 4)
        return self._rest(await asyncio.to_thread(self.desk.chat, session), _line(say("stopped", lang)))

    async def _answer(
        self, text: str, files: Sequence[Path], asking: Asking, request: gr.Request, media: Sequence[Media] = ()
    ) -> AsyncGenerator[Updates, None]:
        desk, parts = self.desk, self.parts
        session = await asyncio.to_thread(desk.session, request)
        if session.id in desk.busy:
            return
        if len(desk.busy) >= MOST_ASKING:
            # The question stays in the box.
            yield {parts.live: _line(say("crowded", asking.lang))}
            return
        desk.busy.add(session.id)
        notice = ""
        try:
            yield {
                parts.box: None,
                parts.stop: gr.update(interactive=True),
                parts.live: _line(say("understanding", asking.lang)),
            }
            taken = [
                *media,
                *[await asyncio.to_thread(take_media, desk.context.sessions, session, one) for one in files],
            ]
            await asyncio.to_thread(say_user, desk.context.sessions, session, text, taken)
            thumbs = self._thumbnails(session, await asyncio.to_thread(desk.messages, session))
            yield {parts.chat: await asyncio.to_thread(desk.chat, session), parts.thumbs: thumbs}
            async with aclosing(self._reply(text, bool(taken), asking, session)) as reply:
                async for live in reply:
                    yield {parts.live: live}
        except (GeneratorExit, asyncio.CancelledError):
            # Stopped, or the tab was closed. No await here: the generator must end at once.
            if [one.role for one in desk.messages(session)][-1:] == ["user"]:
                say_notice(desk.context.sessions, session, say("stopped", asking.lang))
            raise
        except Exception as error:
            notice = explain(error, asking.lang)
        finally:
            desk.busy.discard(session.id)
        if notice:
            await asyncio.to_thread(say_notice, desk.context.sessions, session, notice)
        yield self._rest(await asyncio.to_thread(desk.chat, session), "")

    def _thumbnails(self, session: Session, messages: Sequence[Message]) -> Any:
        """The pictures of a session, copied to where the browser may fetch them; hidden where there is none."""
        media = [one for message in messages for one in message.media if one["frames"]]
        copy = self.parts.thumbs.move_resource_to_block_cache
        shown = [(copy(str(session.path(one["frames"][0]))), one["name"]) for one in media]
        return gr.update(value=shown, visible=bool(shown))

    def _rest(self, chat: list[dict[str, str]], live: str) -> Updates:
        return {self.parts.chat: chat, self.parts.live: live, self.parts.stop: gr.update(interactive=False)}

    async def _reply(self, text: str, pictures: bool, asking: Asking, session: Session) -> AsyncGenerator[str, None]:
        """The live block while an answer comes along; the answer itself goes into the session."""
        desk, auto = self.desk, asking.mode == "auto"
        messages = await asyncio.to_thread(desk.messages, session)
        answers = [one.answer for one in messages if one.answer is not None]
        after_talk = bool(answers) and answers[-1].source == "impression"
        way = self._talk(asking, session)
        if not (asking.mode == "chat" or auto and (pictures or after_talk and _ABOUT_PICTURES.search(text))):
            assistant = await asyncio.to_thread(desk.context.assistant, desk.view(session, asking.which))
            root = assistant.county.workspace.root
            dialogue = desk.dialogues.of(session, root, messages[:-1], user=session.owner)
            query = await asyncio.to_thread(assistant.understand, text, dialogue)
            unknown = (query.metric, query.reason) == ("clarify", "unknown")
            seen = any(message.media for message in messages)
            if not (auto and seen and (query.metric == "describe" or unknown and after_talk)):
                way = self._measure(lambda tell: assistant.answer(query, text, dialogue, tell), query, asking, session)
        async with aclosing(way):
            async for live in way:
                yield live

    async def _measure(
        self, work: Callable[[Progress], Answer], query: Query, asking: Asking, session: Session
    ) -> AsyncGenerator[str, None]:
        """Measure in line with the others; what needs no imagery is answered at once."""
        store = self.desk.context.sessions
        if query.metric in WORDS_ONLY:
            answer = await asyncio.to_thread(work, no_progress)
            await asyncio.to_thread(say_answer, store, session, answer, which=asking.which)
            return
        async with aclosing(self.desk.jobs.run(work)) as events:
            async for event in events:
                if isinstance(event, Done):
                    await asyncio.to_thread(say_answer, store, session, event.value, which=asking.which)
                else:
                    yield _progress(event, asking.lang)

    async def _talk(self, asking: Asking, session: Session) -> AsyncGenerator[str, None]:
        """Stream from the model; what was said until a stop is kept and marked."""
        from src.model.reply import GenerateOptions

        store, start = self.desk.context.sessions, time.monotonic()
        messages = await asyncio.to_thread(self.desk.messages, session)
        question = messages[-1].text
        lang = language_of(question, asking.lang)
        try:
            backend = self.desk.context.backend.get()
        except NotReadyError as error:
            failed = self.desk.context.backend.state == "failed"
            raise NoModelError("no_model" if failed else "not_ready_model") from error
        options = GenerateOptions(
            max_new_tokens=int(asking.max_tokens),
            temperature=asking.temperature,
            top_p=asking.top_p,
            repetition_penalty=asking.penalty,
        )
        system = (asking.system or "").strip() or say("system_default", lang)
        talk = await asyncio.to_thread(model_messages, session, messages, system)
        reply = await asyncio.to_thread(backend.stream, talk, options, session.id)
        finished = False
        try:
            shown, last = "", 0.0
            yield _writing("", lang)
            async for piece in reply:
                shown += piece
                if time.monotonic() - last >= UPDATE_S:
                    last = time.monotonic()
                    yield _writing(shown, lang)
            finished = True
        finally:
            # Also reached by a stop and by an error: the engine's row is free at once.
            reply.cancel()
            said = reply.text
            if said.strip() or finished:
                answer = Answer(
                    question=question,
                    text=impression(said, lang),
                    lang=lang,
                    source="impression",
                    seconds=time.monotonic() - start,
                )
                say_answer(store, session, answer, said=said, partial=not finished)


class NoModelError(LandUseError):
    """There is no model to talk to; carries a key of TEXT."""

    exit_code = 1


def explain(error: Exception, lang: Lang) -> str:
    """An error as one message to the asker; what is not meant for people goes to the log under a number."""
    if isinstance(error, NoModelError):
        return say(str(error), lang)
    if isinstance(error, NotReadyError):
        return say("not_ready_county", lang)
    if isinstance(error, UploadError | StorageError):
        return error.say[lang]
    message = getattr(error, "message", None)
    if isinstance(error, LandUseError) and callable(message):
        return str(message(lang))
    number = secrets.token_hex(4)
    LOG.error("answer %s failed: %s", number, type(error).__name__, exc_info=error)
    return say("failed", lang, id=number)


def language_of(text: str, lang: Lang) -> Lang:
    """Chinese where the text has Chinese letters, English where it has only Latin ones, else the page's language."""
    if re.search(r"[\u4e00-\u9fff]", text):
        return "zh"
    return "en" if re.search(r"[A-Za-z]", text) else lang


def _line(text: str) -> str:
    return f'<div class="live"><span>{escape(text)}</span></div>'


def _writing(text: str, lang: Lang) -> str:
    mark = f'<b class="tag impression">{say("tag_impression", lang)}</b>'
    return f'<div class="live writing">{mark}<p>{escape(text) or say("writing", lang)}</p></div>'


def _progress(event: Waiting | Step, lang: Lang) -> str:
    if isinstance(event, Waiting):
        return _line(say("waiting", lang, n=event.before))
    step = STEPS[event.key][lang] if event.key in STEPS else say("measuring", lang)
    percent = f"{event.share:.0%}"
    bar = f'<i class="bar"><i style="width:{percent}"></i></i>'
    return f'<div class="live"><span>{escape(step)}</span>{bar}<span>{percent}</span></div>'
