"""What goes into a backend and what comes out: options, the reply of one request, the errors of one user.

A ``Reply`` is filled by an engine thread and read from anywhere: ``async for``
in an event loop, ``result()`` in a thread. Reading never blocks the engine.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from src.errors import InputError, LandUseError

Message = dict[str, Any]
FinishReason = Literal["stop", "length", "cancelled", "cut", "failed"]

MESSAGES: dict[str, dict[str, str]] = {
    "failed": {
        "zh": "模型未能完成这次回答，请重试。",
        "en": "The model could not finish this answer; please try again.",
    },
    "memory": {
        "zh": "内存不足，未能回答。请减少影像、缩短对话或稍后再试。",
        "en": "Not enough memory for this answer: use fewer images, a shorter dialogue, or try again later.",
    },
    "input": {"zh": "问题无法处理，请修改后重试。", "en": "This question cannot be used; please change it."},
    "closed": {"zh": "模型服务正在关闭，请稍后再试。", "en": "The model is shutting down; please try again later."},
    "down": {
        "zh": "连接不上模型服务，请检查服务地址或稍后再试。",
        "en": "The model server cannot be reached: check its address or try again later.",
    },
    "busy": {"zh": "模型服务繁忙，请稍后再试。", "en": "The model server is busy; please try again later."},
    "timeout": {
        "zh": "模型服务超时未回应，请稍后再试。",
        "en": "The model server took too long; please try again later.",
    },
    "refused": {"zh": "模型服务拒绝了请求。", "en": "The model server refused the request."},
    "garbage": {
        "zh": "模型服务的回应无法识别，请检查服务地址。",
        "en": "The model server's answer cannot be read: check its address.",
    },
    "cut": {
        "zh": "连接中断，以上回答不完整。",
        "en": "The connection was lost: the answer above is incomplete.",
    },
}


class BackendError(LandUseError, RuntimeError):
    """One request failed; other requests are not touched.

    Args:
        code: key of MESSAGES.
        detail: for the log; may hold technical words, never the user's text.
        partial: text that came before the failure.
    """

    exit_code = 1

    def __init__(self, code: str, detail: str = "", partial: str = "") -> None:
        self.code, self.detail, self.partial = code, detail, partial
        super().__init__(self.message("en") + (f" ({detail})" if detail else ""))

    def message(self, lang: str) -> str:
        """One sentence for the user, "zh" or "en"."""
        return MESSAGES[self.code][lang]


class NotScorable(LandUseError, RuntimeError):
    """This backend cannot give the probability of a text."""

    exit_code = 1


@dataclass(frozen=True)
class GenerateOptions:
    """How to choose tokens.

    Args:
        max_new_tokens: longest answer.
        temperature: 0 takes the most probable token; otherwise answers are sampled.
        top_p: nucleus; 1 keeps all.
        top_k: most probable tokens to sample from; 0 keeps all.
        repetition_penalty: 1 is none (https://arxiv.org/abs/1909.05858, section 4.1).
        seed: makes sampling repeatable; the other requests of a batch draw from states of their own.

    Raises:
        InputError: a value outside its range.
    """

    max_new_tokens: int = 1024
    temperature: float = 0.7
    top_p: float = 1.0
    top_k: int = 0
    repetition_penalty: float = 1.0
    seed: int | None = None

    def __post_init__(self) -> None:
        checks = {
            "max_new_tokens >= 1": self.max_new_tokens >= 1,
            "temperature >= 0": self.temperature >= 0,
            "0 < top_p <= 1": 0 < self.top_p <= 1,
            "top_k >= 0": self.top_k >= 0,
            "repetition_penalty > 0": self.repetition_penalty > 0,
        }
        wrong = [rule for rule, holds in checks.items() if not holds]
        if wrong:
            raise InputError(f"{self}: expected {', '.join(wrong)}")


class Reply:
    """The answer to one request, while it is being written.

    ``async for piece in reply`` gives everything that came since the last
    piece, joined, so a slow reader falls behind in no way; a wait that is
    cancelled or times out loses nothing. Leaving the loop does not stop the
    generation: call ``cancel()``. Every reader sees the whole answer.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._pieces: list[str] = []
        self._error: BackendError | None = None
        self._reason: FinishReason | None = None
        self._cancelled = False
        self._listeners: list[Callable[[], None]] = []
        self._on_cancel: Callable[[], object] | None = None
        self._began = time.monotonic()
        self._first_s: float | None = None

    # ---- reading

    @property
    def text(self) -> str:
        """What has come so far."""
        with self._changed:
            return "".join(self._pieces)

    @property
    def first_token_s(self) -> float | None:
        """Seconds from the request to its first token; None before that."""
        return self._first_s

    @property
    def finish_reason(self) -> FinishReason | None:
        """Why the answer ended: own end, token limit, cancel, cut connection, failure; None while it is open."""
        return self._reason

    @property
    def cancelled(self) -> bool:
        """Whether ``cancel`` was called."""
        return self._cancelled

    def cancel(self) -> None:
        """Ask for an end, from any thread; the text so far stays and no error is raised."""
        with self._changed:
            if self._reason is not None:
                return
            self._cancelled = True
            hook = self._on_cancel
        if hook:
            hook()

    def result(self, timeout: float | None = None) -> str:
        """Wait for the whole answer.

        Args:
            timeout: seconds; None waits for ever.

        Raises:
            BackendError: the request failed.
            TimeoutError: it is not ready yet; it goes on.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._reason is not None, timeout):
                raise TimeoutError(f"no answer within {timeout} s; it is still being written")
            if self._error:
                raise self._error
            return "".join(self._pieces)

    def __aiter__(self) -> "_Pieces":
        return _Pieces(self)

    # ---- writing, by the backend

    def push(self, piece: str) -> None:
        """Append text; "" says that a token came which is no whole character yet."""
        if self._first_s is None:
            self._first_s = time.monotonic() - self._began
        if piece:
            with self._changed:
                self._pieces.append(piece)
            self._wake()

    def finish(self, reason: FinishReason, error: BackendError | None = None) -> None:
        """End the answer; the first end counts."""
        with self._changed:
            if self._reason is not None:
                return
            self._reason, self._error = reason, error
            if error:
                error.partial = "".join(self._pieces)
        self._wake()

    def fail(self, error: BackendError) -> None:
        """End the answer with an error; a cut connection keeps its own reason."""
        self.finish("cut" if error.code == "cut" else "failed", error)

    def on_cancel(self, hook: Callable[[], object]) -> None:
        """Call ``hook`` at ``cancel``, at once if that was before."""
        with self._changed:
            self._on_cancel = hook
            late = self._cancelled and self._reason is None
        if late:
            hook()

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()
            listeners = list(self._listeners)
        for listener in listeners:
            listener()


class _Pieces:
    """One reader's place in a reply."""

    def __init__(self, reply: Reply) -> None:
        self._reply = reply
        self._place = 0
        self._event: asyncio.Event | None = None

    def __aiter__(self) -> "_Pieces":
        return self

    async def __anext__(self) -> str:
        reply, event = self._reply, self._listen()
        while True:
            event.clear()
            with reply._changed:
                fresh = reply._pieces[self._place :]
                reason, error = reply._reason, reply._error
            if fresh:
                self._place += len(fresh)
                return "".join(fresh)
            if error:
                raise error
            if reason is not None:
                raise StopAsyncIteration
            await event.wait()

    def _listen(self) -> asyncio.Event:
        if self._event is None:
            loop, event = asyncio.get_running_loop(), asyncio.Event()
            self._event = event

            def wake() -> None:
                # A loop that was closed has no reader left, and must not harm the engine thread.
                if not loop.is_closed():
                    try:
                        loop.call_soon_threadsafe(event.set)
                    except RuntimeError:
                        return

            with self._reply._changed:
                self._reply._listeners.append(wake)
        return self._event


class Backend(Protocol):
    """A model that answers several users at once; every method may be called from any thread."""

    def stream(self, messages: Sequence[Message], options: GenerateOptions, session: str) -> Reply:
        """Begin an answer and return at once.

        Args:
            messages: ``{"role", "content"}``; content is text or parts ``{"type": "text", "text"}``,
                ``{"type": "image", "image": PIL image}``, ``{"type": "video", "frames": [PIL image], "fps": float}``.
                Special tokens in the text are broken, oldest turns are dropped where they do not fit.
            options: how to choose tokens.
            session: name of the dialogue, whose earlier turns need not be computed again; "" keeps nothing.

        Raises:
            InputError: messages that cannot be used; all later failures arrive through the reply.
        """

    def generate(self, messages: Sequence[Message], **options: Any) -> str:
        """Answer and wait; fields of GenerateOptions, temperature 0 unless given."""

    def score(self, messages: Sequence[Message], choices: Sequence[str]) -> list[float]:
        """Natural log-probability of each choice (one or more) as the whole answer.

        Raises:
            NotScorable: this backend cannot.
        """

    def forget(self, session: str) -> None:
        """Drop what is kept for a dialogue."""

    def status(self) -> dict[str, Any]:
        """Numbers for the page: "active" and "waiting" requests, "backend", "model", and others."""

    def close(self) -> None:
        """Stop; open requests end with the error "closed"."""
