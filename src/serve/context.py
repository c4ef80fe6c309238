"""What the page is built with: options, the model and the county as they load, the sessions, and the assistants.

    page = build_page(context)            # src.serve.ui
    session = context.session(request)    # in a handler: the asker's own folder and history
    answer = context.assistant(session).ask(question, dialogue, progress)

The model and the county load in threads of their own; until they are there,
``Loading.get`` says so with an error that the page can show.
"""

import ipaddress
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from src.errors import InputError, LandUseError

if TYPE_CHECKING:
    # Heavy to import, and the page must stand before they are.
    from src.assistant.pipeline import Assistant
    from src.assistant.review import ReviewLog
    from src.geo.workspace import Workspace
    from src.model.backend import Backend
    from src.serve.sessions import Session, SessionStore

T = TypeVar("T")
# The bundled model, as ``src.model.nano.NANO_DIR``, whose module is heavy to import; a test holds the two together.
NANO_DIR = Path(__file__).resolve().parents[2] / "assets" / "nano"
# Assistants kept at once; each holds the caches of one workspace.
_KEPT_ASSISTANTS = 32


class NotReadyError(LandUseError):
    """What is asked for still loads, or could not be loaded."""

    exit_code = 1


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches the address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True)
class ServeOptions:
    """The flags of ``python -m src.serve.app``, under the same names.

    Raises:
        InputError: values that exclude each other.
    """

    model_path: str
    model_base: str | None = None
    workspace: Path | None = None
    device: str = "auto"
    temperature: float = 0.7
    max_new_tokens: int = 1024
    load_4bit: bool = False
    load_8bit: bool = False
    disable_flash_attention: bool = False
    backend: Literal["transformers", "openai"] = "transformers"
    api_base: str | None = None
    host: str = "127.0.0.1"
    port: int = 7860
    auth: Path | None = None
    repetition_penalty: float = 1.0
    debug: bool = False

    def __post_init__(self) -> None:
        if self.load_4bit and self.load_8bit:
            raise InputError("--load-4bit and --load-8bit exclude each other; give one")
        if (self.backend == "openai") != (self.api_base is not None):
            raise InputError("--backend openai and --api-base URL go together; give both or neither")
        if self.temperature < 0:
            raise InputError(f"--temperature {self.temperature}: expected 0 (always the same answer) or more")
        if self.max_new_tokens < 1:
            raise InputError(f"--max-new-tokens {self.max_new_tokens}: expected at least 1")
        if self.repetition_penalty <= 0:
            raise InputError(f"--repetition-penalty {self.repetition_penalty}: expected above 0; 1 is none")
        if not 0 <= self.port <= 65535:
            raise InputError(f"--port {self.port}: expected 0 (any free one) to 65535")


class Loading(Generic[T]):
    """A value made in a thread of its own.

    Args:
        make: makes the value; is given a function to tell its progress (key of the step, share 0..1).
        name: for the log and the thread.
    """

    def __init__(self, make: Callable[[Callable[[str, float], None]], T], name: str) -> None:
        self.name = name
        self._make = make
        self._done = threading.Event()
        self._value: T | None = None
        self._error: Exception | None = None
        self.step: tuple[str, float] = ("", 0.0)

    @classmethod
    def of(cls, value: T, name: str = "value") -> "Loading[T]":
        """A value that is there already."""
        self = cls(lambda tell: value, name)
        self._value = value
        self._done.set()
        return self

    def start(self) -> "Loading[T]":
        """Begin; returns itself."""
        threading.Thread(target=self._run, name=f"load-{self.name}", daemon=True).start()
        return self

    def _run(self) -> None:
        try:
            self._value = self._make(self._tell)
        # Whatever goes wrong is told to whoever asks for the value: a thread has nobody else to tell.
        except Exception as error:
            self._error = error
        self._done.set()

    def _tell(self, step: str, share: float) -> None:
        self.step = (step, share)

    @property
    def state(self) -> Literal["loading", "ready", "failed"]:
        """Where it stands."""
        if not self._done.is_set():
            return "loading"
        return "failed" if self._error is not None else "ready"

    @property
    def error(self) -> str:
        """Why it failed; "" unless it did."""
        return "" if self._error is None else str(self._error)

    def get(self, timeout: float = 0.0) -> T:
        """The value.

        Args:
            timeout: seconds to wait for it.

        Raises:
            NotReadyError: it still loads, or loading it failed.
        """
        if not self._done.wait(timeout):
            raise NotReadyError(f"the {self.name} still loads; try again in a moment")
        if self._error is not None:
            raise NotReadyError(f"the {self.name} could not be loaded: {self._error}") from self._error
        return self._value  # type: ignore[return-value]


@dataclass(frozen=True)
class PageContext:
    """All that handlers need; the same object for every user.

    Args:
        options: flags of the command.
        backend: the model; chat over pictures needs it, measured answers do not.
        county: the shared workspace (``--workspace``, or the demo county).
        sessions: folders and history of the askers.
        reviews: folder of the review log of the shared county.
        lang: language the page starts in.
        demo: whether the shared county is the simulated one.
    """

    options: ServeOptions
    backend: "Loading[Backend]"
    county: "Loading[Workspace]"
    sessions: "SessionStore"
    reviews: Path
    lang: Literal["zh", "en"] = "zh"
    demo: bool = True
    _kept: "dict[Path, Assistant]" = field(default_factory=dict, repr=False, compare=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def session(self, request: Any) -> "Session":
        """The asker's session: the last one of the user or browser, else a new one.

        Args:
            request: ``gr.Request`` of the event.
        """
        from src.serve.sessions import owner_of

        return self.sessions.open(owner_of(request))

    def workspace(self, session: "Session") -> "Workspace":
        """What the asker's questions are measured on: the own workspace once it holds a scene, else the shared county.

        Raises:
            NotReadyError: the shared county still loads.
        """
        return self.sessions.own_workspace(session) or self.county.get()

    def review_log(self, session: "Session") -> "ReviewLog":
        """Decisions on the patches of that workspace; those of the shared county are shared."""
        from src.assistant.review import ReviewLog

        own = self.sessions.own_workspace(session)
        return ReviewLog(self.reviews if own is None else own.root)

    def assistant(self, session: "Session") -> "Assistant":
        """Answers about that workspace; made once per workspace, and safe to ask from several threads.

        Raises:
            NotReadyError: the shared county still loads.
        """
        from datetime import date

        from src.assistant.county import County
        from src.assistant.pipeline import Assistant
        from src.geo.blocks import ThreadRunner

        workspace = self.workspace(session)
        model = self.backend.get() if self.backend.state == "ready" else None
        with self._lock:
            kept = self._kept.pop(workspace.root, None)
            if kept is None or kept.model is not model:
                as_of = date.fromisoformat(workspace.as_of) if workspace.as_of else date.today()
                kept = Assistant(County(workspace, ThreadRunner(), as_of), model, self.review_log(session))
            # Last in the dict is last used.
            self._kept[workspace.root] = kept
            while len(self._kept) > _KEPT_ASSISTANTS:
                self._kept.pop(next(iter(self._kept)))
            return kept

    def forget(self, root: Path) -> None:
        """Drop what is kept of a workspace; call after something was added to it."""
        with self._lock:
            self._kept.pop(root, None)

    def status(self) -> dict[str, Any]:
        """Readiness and load, for /healthz and the page: no names, no paths.

        Returns:
            ``{"ready", "model": {"state", "step", "share"}, "county": likewise, "backend": {"active", "waiting"}}``
        """
        parts: dict[str, Loading[Any]] = {"model": self.backend, "county": self.county}
        states: dict[str, Any] = {
            name: {"state": part.state, "step": part.step[0], "share": round(part.step[1], 3)}
            for name, part in parts.items()
        }
        said = self.backend.get().status() if self.backend.state == "ready" else {}
        # An engine whose thread ended answers nobody.
        ready = all(part.state == "ready" for part in parts.values()) and said.get("alive", True)
        load = {key: said.get(key, 0) for key in ("active", "waiting")}
        return {"ready": ready, **states, "backend": load}
