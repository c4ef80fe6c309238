"""The dialogue of a session, as it is kept, as the conversation shows it, and as model and assistant need it.

Turns lie in the session store. A user's turn is ``{"text", "media": [{"kind", "name", "frames", "fps"}]}`` with frames
as paths inside the session; an answer is ``{"text", "answer"}`` with the whole Answer; a notice, such as an error, has
the text alone.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from src.assistant.answer import Answer, compose
from src.serve.sessions import Session, SessionStore, Turn
from src.serve.texts import Lang, say
from src.serve.uploads import Media
from src.serve.view import in_language, safe_markdown, tag

if TYPE_CHECKING:
    from src.assistant.pipeline import Dialogue

_KEPT_DIALOGUES = 256


@dataclass(frozen=True)
class Message:
    """One turn of a conversation.

    Args:
        number: place in the session, from 0.
        role: "user" or "assistant".
        text: as it was said.
        media: of a user's turn, as stored.
        answer: of an assistant's turn; None for a notice.
        which: data that an answer was measured on, "shared" or "own".
        said: what a model said, without the line that marks it.
        partial: whether the asker stopped it.
    """

    number: int
    role: str
    text: str
    media: tuple[dict[str, Any], ...] = ()
    answer: Answer | None = None
    which: str = "shared"
    said: str = ""
    partial: bool = False


def messages_of(store: SessionStore, session: Session) -> list[Message]:
    """All turns of a session."""
    return [_message(number, turn) for number, turn in enumerate(store.history(session))]


def _message(number: int, turn: Turn) -> Message:
    content = turn.content
    answer = Answer.model_validate(content["answer"]) if content.get("answer") else None
    return Message(
        number,
        turn.role,
        content["text"],
        media=tuple(content.get("media", ())),
        answer=answer,
        which=content.get("which", "shared"),
        said=content.get("said", content["text"]),
        partial=bool(content.get("partial")),
    )


def say_user(store: SessionStore, session: Session, text: str, media: Sequence[Media]) -> None:
    """Remember a question with its pictures."""
    root = session.root.resolve()
    stored = [
        {
            "kind": one.kind,
            "name": one.name,
            "frames": [str(path.resolve().relative_to(root)) for path in one.frames],
            "fps": one.fps,
        }
        for one in media
    ]
    store.append(session, "user", {"text": text, "media": stored})


def say_answer(
    store: SessionStore,
    session: Session,
    answer: Answer,
    *,
    which: str = "",
    said: str | None = None,
    partial: bool = False,
) -> None:
    """Remember an answer.

    Args:
        store: keeps it.
        session: whose.
        answer: as it is shown.
        which: data it was measured on, "shared" or "own".
        said: what a model said, letter by letter: the next turn of its talk begins with it.
        partial: the asker stopped it.
    """
    content: dict[str, Any] = {"text": answer.text, "answer": answer.model_dump(mode="json")}
    marks = {"which": which or None, "partial": partial or None, "said": said}
    content |= {key: value for key, value in marks.items() if value is not None}
    store.append(session, "assistant", content)


def say_notice(store: SessionStore, session: Session, text: str) -> None:
    """Remember a notice, such as an error."""
    store.append(session, "assistant", {"text": text})


def bubbles(messages: Sequence[Message], langs: dict[int, Lang]) -> list[dict[str, str]]:
    """The conversation for ``gr.Chatbot``.

    Args:
        messages: all turns.
        langs: language to say a turn in, where it is not the one it was said in.
    """
    return [{"role": one.role, "content": _bubble(one, langs.get(one.number))} for one in messages]


def _bubble(message: Message, lang: Lang | None) -> str:
    if message.role == "user":
        names = "".join(f"\n\n🖼 {safe_markdown(one['name'])}" for one in message.media)
        return safe_markdown(message.text) + names
    answer = message.answer
    if answer is None:
        return safe_markdown(message.text)
    shown = lang or answer.lang
    text = in_shown_language(answer, lang).text
    mark = tag(answer, shown) + (f" · {say('tag_stopped', shown)}" if message.partial else "")
    return f"{safe_markdown(text)}\n\n*{safe_markdown(mark)}*"


def in_shown_language(answer: Answer, lang: Lang | None) -> Answer:
    """A measured answer said in another language; one without evidence, or in that language already, as it is."""
    if lang is None or lang == answer.lang or answer.evidence is None:
        return answer
    return answer.model_copy(update={"text": compose(in_language(answer.evidence, lang)), "lang": lang})


def model_messages(session: Session, messages: Sequence[Message], system: str) -> list[dict[str, Any]]:
    """The talk about pictures for the model: the system turn, finished exchanges with it, and the last question.

    Measured answers and notices stay out: the model must not repeat figures as its own.
    """
    talk: list[dict[str, Any]] = [{"role": "system", "content": system}]
    for before, after in zip(messages, [*messages[1:], None], strict=True):
        if before.role != "user":
            continue
        said = after is not None and after.answer is not None and after.answer.source == "impression"
        if after is None or said:
            talk.append({"role": "user", "content": [*_parts(session, before), {"type": "text", "text": before.text}]})
        if after is not None and said:
            talk.append({"role": "assistant", "content": after.said})
    return talk


def _parts(session: Session, message: Message) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = []
    for media in message.media:
        frames = [_picture(session.path(name)) for name in media["frames"]]
        if media["kind"] == "video":
            parts.append({"type": "video", "frames": frames, "fps": media.get("fps", 1.0)})
        else:
            parts.append({"type": "image", "image": frames[0]})
    return parts


@lru_cache(maxsize=64)
def _picture(path: Path) -> Image.Image:
    with Image.open(path) as picture:
        return picture.convert("RGB")


class Dialogues:
    """What each session asked before, in memory; made again from the history where it was dropped.

    One per session and workspace: figures of one county are no context for questions about another.
    """

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, Path], Dialogue] = OrderedDict()

    def of(self, session: Session, root: Path, messages: Sequence[Message], user: str) -> "Dialogue":
        """The dialogue of a session about the workspace in ``root``."""
        # Heavy to import; the page must stand before it is.
        from src.assistant.pipeline import Dialogue

        key = (session.id, root)
        if key not in self._kept:
            dialogue = Dialogue(user=user)
            for message in messages:
                if message.answer is not None:
                    dialogue.remember(message.answer)
            self._kept[key] = dialogue
        self._kept.move_to_end(key)
        while len(self._kept) > _KEPT_DIALOGUES:
            self._kept.popitem(last=False)
        return self._kept[key]
