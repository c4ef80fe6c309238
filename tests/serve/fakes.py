"""Stand-ins for the model and the assistant, for tests of the page's own code."""

import threading
import time
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from src.assistant.answer import Answer, compose
from src.assistant.query import Known, Query
from src.assistant.record import Evidence
from src.model.reply import BackendError, GenerateOptions, Reply


class FakeBackend:
    """Says the same words, one after another, and remembers what it was asked."""

    def __init__(self, words: str = "水 体 在 左 侧", pause_s: float = 0.01, error: str = "") -> None:
        self.words, self.pause_s, self.error = words.split(" "), pause_s, error
        self.asked: list[tuple[list[dict[str, Any]], GenerateOptions, str]] = []
        self.replies: list[Reply] = []
        self.forgotten: list[str] = []

    def stream(self, messages: Any, options: GenerateOptions, session: str) -> Reply:
        self.asked.append((list(messages), options, session))
        reply = Reply()
        self.replies.append(reply)
        threading.Thread(target=self._write, args=(reply,), daemon=True).start()
        return reply

    def _write(self, reply: Reply) -> None:
        for word in self.words:
            if reply.cancelled:
                reply.finish("cancelled")
                return
            time.sleep(self.pause_s)
            reply.push(word)
        if self.error:
            reply.fail(BackendError(self.error))
        reply.finish("stop")

    def forget(self, session: str) -> None:
        self.forgotten.append(session)

    def status(self) -> dict[str, Any]:
        return {"active": 0, "waiting": 0, "backend": "fake", "model": "fake"}


@dataclass
class FakeAssistant:
    """Answers every question with the same evidence."""

    workspace: Any
    evidence: Evidence
    pause_s: float = 0.0
    error: Exception | None = None
    asked: list[str] = field(default_factory=list)

    @property
    def county(self) -> Any:
        known = Known(dates=tuple(scene.record.date for scene in self.workspace.scenes()))
        return SimpleNamespace(workspace=self.workspace, known=lambda: known)

    def understand(self, question: str, dialogue: Any) -> Query:
        return self.evidence.query

    def answer(self, query: Query, question: str, dialogue: Any, progress: Any) -> Answer:
        self.asked.append(question)
        for share in (0.2, 0.6, 1.0):
            time.sleep(self.pause_s)
            progress("change", share)
        if self.error is not None:
            raise self.error
        return Answer(question=question, text=compose(self.evidence), evidence=self.evidence, seconds=0.1)
