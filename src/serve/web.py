"""The web server around the page: headers, cookie, limits on requests, /healthz, and how it ends."""

import logging
import re
import shutil
import signal
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import contextmanager
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from types import FrameType
from typing import Any
from urllib.parse import urlsplit

import uvicorn
from starlette.responses import JSONResponse, PlainTextResponse

from src.errors import InputError
from src.serve.auth import TEXT as AUTH_TEXT
from src.serve.auth import Gate, client_address
from src.serve.context import is_loopback
from src.serve.sessions import COOKIE, SessionStore, new_cookie
from src.serve.storage import TEXT as STORAGE_TEXT

log = logging.getLogger(__name__)
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

# Nothing from other hosts, no frames, no plugins; inline script and eval are what Gradio's own page needs.
HEADERS = {
    "content-security-policy": (
        "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data: blob:; media-src 'self' data: blob:; font-src 'self' data:; worker-src 'self' blob:; "
        "connect-src 'self'; form-action 'self'; base-uri 'self'; frame-ancestors 'none'; object-src 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}
# A request without files: a long question with what the page keeps beside it.
BODY_BYTES = 8 << 20
CLEAN_EVERY_S = 600.0
_UPLOAD = "/gradio_api/upload"
_TEXT = {
    "body": {"zh": "请求内容过大（上限 {limit} MB）。", "en": "The request is too large (limit {limit} MB)."},
    "host": {
        "zh": "未设登录时，只能以本机地址（127.0.0.1 或 localhost）访问。",
        "en": "Without sign-in the page answers only to this machine's own address (127.0.0.1 or localhost).",
    },
    "length": {"zh": "请求未注明长度。", "en": "The request does not tell its length."},
}
_COOKIE_VALUE = re.compile(r"[A-Za-z0-9_-]{43}")


class Guard:
    """ASGI middleware: security headers, the browser's cookie, and what is refused before Gradio sees it.

    Args:
        app: what is guarded.
        store: whose disk uploads land on.
        gate: asked about addresses with too many wrong logins; None without sign-in.
        upload_bytes: of one upload request at most.
        local: answer only to names of this machine, so that another site cannot point its own name here and read the
            page of somebody who did not have to sign in (DNS rebinding).
    """

    def __init__(self, app: Any, store: SessionStore, gate: Gate | None, upload_bytes: int, local: bool) -> None:
        self._app, self._store, self._gate, self._upload_bytes, self._local = app, store, gate, upload_bytes, local

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """See the ASGI specification."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {key.decode("latin-1"): value.decode("latin-1") for key, value in scope["headers"]}
        address = (scope.get("client") or ("",))[0]
        client_address.set(address)
        cookie = None if _known(headers.get("cookie", "")) or scope["method"] != "GET" else new_cookie()
        guarded = _with_headers(send, cookie, secure=scope.get("scheme") == "https")
        refusal = self._refusal(scope["method"], scope["path"], headers, address)
        if refusal is not None:
            await refusal(scope, receive, guarded)
            return
        await self._app(scope, receive, guarded)

    def _refusal(self, method: str, path: str, headers: dict[str, str], address: str) -> Any:
        if self._local and not is_loopback(urlsplit(f"//{headers.get('host', '')}").hostname or ""):
            return PlainTextResponse(_both(_TEXT["host"]), 421)
        if method != "POST":
            return None
        if path.rstrip("/").endswith("/login") and self._gate is not None:
            wait = self._gate.throttle.address_wait_s(address)
            if wait > 0:
                seconds = max(1, round(wait))
                text = _both(AUTH_TEXT["locked"], seconds=seconds)
                return PlainTextResponse(text, 429, headers={"retry-after": str(seconds)})
        if not headers.get("content-length", "").isdigit():
            return PlainTextResponse(_both(_TEXT["length"]), 411)
        size = int(headers["content-length"])
        upload = path.startswith(_UPLOAD)
        limit = self._upload_bytes if upload else BODY_BYTES
        if size > limit:
            return JSONResponse({"detail": _both(_TEXT["body"], limit=limit >> 20)}, 413)
        if upload and shutil.disk_usage(self._store.root).free < size + self._store.quota.free_bytes:
            return JSONResponse({"detail": _both(STORAGE_TEXT["disk"])}, 507)
        return None


def _known(header: str) -> bool:
    """Whether the browser brings a cookie of ours already."""
    try:
        cookie = SimpleCookie(header).get(COOKIE)
    except CookieError:
        return False
    return cookie is not None and _COOKIE_VALUE.fullmatch(cookie.value) is not None


def _with_headers(send: Send, cookie: str | None, *, secure: bool) -> Send:
    extra = [(key.encode(), value.encode()) for key, value in HEADERS.items()]

    async def guarded(message: Message) -> None:
        if message["type"] == "http.response.start":
            kept = [pair for pair in message.get("headers", []) if pair[0].decode("latin-1").lower() not in HEADERS]
            html = any(key.lower() == b"content-type" and value.startswith(b"text/html") for key, value in kept)
            if cookie is not None and html:
                flags = "Path=/; HttpOnly; SameSite=Strict; Max-Age=7776000" + ("; Secure" if secure else "")
                kept.append((b"set-cookie", f"{COOKIE}={cookie}; {flags}".encode()))
            message["headers"] = [*kept, *extra]
        await send(message)

    return guarded


def _both(text: dict[str, str], **values: object) -> str:
    return "\n".join(text[lang].format(**values) for lang in ("zh", "en"))


def bind(host: str, port: int) -> socket.socket:
    """A socket on the address.

    Raises:
        InputError: the port is taken or may not be used, or the host is none of this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
        # Listening at once: two servers that start together cannot both believe that they have the port.
        sock.listen(128)
    except OSError as error:
        sock.close()
        raise InputError(
            f"--host {host} --port {port}: cannot listen there ({error.strerror or error}); "
            "end the program that uses it, or choose another --port (0 takes any free one)"
        ) from error
    return sock


class Server(uvicorn.Server):
    """Ends on SIGINT and SIGTERM with exit code 0 instead of raising the signal again."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Install the handlers while the server runs."""
        previous: dict[int, Any] = {}

        def stop(number: int, frame: FrameType | None) -> None:
            self.should_exit = True
            # The event streams of open pages are cut on purpose; a traceback for each says nothing.
            logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)

        for one in (signal.SIGINT, signal.SIGTERM):
            previous[one] = signal.signal(one, stop)
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)


def keep_clean(store: SessionStore, every_s: float = CLEAN_EVERY_S) -> None:
    """Clean the store now and then, in a thread that ends with the program."""

    def run() -> None:
        while True:
            start = time.monotonic()
            try:
                cleaned = store.clean()
                log.info("cleaned %d sessions, %d orphans, %d bytes", cleaned.sessions, cleaned.orphans, cleaned.bytes)
            except OSError as error:
                log.warning("cleaning failed: %s", error.strerror)
            time.sleep(max(1.0, every_s - (time.monotonic() - start)))

    threading.Thread(target=run, name="clean", daemon=True).start()


def blocked_paths(store: SessionStore) -> list[str]:
    """What Gradio must never hand out, whatever a request names."""
    return [str(path) for path in (store.folder, *Path(store.root).glob("sessions.sqlite*"))]
