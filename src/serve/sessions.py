"""Sessions: a folder and a history for each asker, with quotas, kept across restarts, cleaned by age and size.

Below the state folder (``LANDUSE_STATE``, else ``$XDG_STATE_HOME/county-land-use``):

    sessions.sqlite            who owns which session, and what was said (WAL)
    sessions/<random id>/      uploads/  workspace/  one session's own files
    gradio/                    what browsers uploaded, before a session took it

An owner is a signed-in user or a browser by its cookie; both are kept as
hashes. Every path is resolved and must stay inside its session's folder.
"""

import errno
import hashlib
import json
import os
import re
import secrets
import shutil
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from src.errors import InputError
from src.geo.workspace import Workspace, init_workspace, open_workspace
from src.serve.storage import Quota, StorageError, last_touched, readable, remove, safe_name, tree_bytes

COOKIE = "landuse_session"
_ID = re.compile(r"[0-9a-f]{32}")
_COOKIE_VALUE = re.compile(r"[A-Za-z0-9_-]{43}")
_LINKED = ("scenes", "zones", "labels", "samples")
_DAY_S = 86_400.0
_SCHEMA = """
CREATE TABLE IF NOT EXISTS sessions (
    id TEXT PRIMARY KEY, owner TEXT NOT NULL, created REAL NOT NULL, used REAL NOT NULL);
CREATE INDEX IF NOT EXISTS by_owner ON sessions (owner, used);
CREATE TABLE IF NOT EXISTS turns (
    number INTEGER PRIMARY KEY AUTOINCREMENT, session TEXT NOT NULL, time REAL NOT NULL, role TEXT NOT NULL,
    content TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS by_session ON turns (session, number);
"""


@dataclass(frozen=True)
class Session:
    """One asker's own folder and history.

    Args:
        id: 32 random hexadecimal digits, made here.
        owner: see ``owner_of``.
        root: own folder.
    """

    id: str
    owner: str
    root: Path

    @property
    def uploads(self) -> Path:
        """Files that the asker sent."""
        return self.root / "uploads"

    @property
    def workspace_root(self) -> Path:
        """Own workspace; made with the first thing added to it."""
        return self.root / "workspace"

    def path(self, name: str | Path) -> Path:
        """A file or folder of this session by its path inside the session's folder.

        Raises:
            InputError: it lies outside, or is written as a URL or a path of GDAL's own.
        """
        text = str(name)
        if "\x00" in text or "://" in text or text.startswith("/vsi") or "!" in text:
            raise InputError("the path names no file of this session")
        path = (self.root / name).resolve()
        if not path.is_relative_to(self.root.resolve()):
            raise InputError("the path leads out of this session's folder")
        return path


@dataclass(frozen=True)
class Turn:
    """One message: who said it, when (seconds since 1970) and its content (``text``, and what the page adds)."""

    role: str
    time: float
    content: dict[str, Any]


@dataclass(frozen=True)
class Cleaned:
    """What a cleaning removed: sessions, orphaned files, and bytes."""

    sessions: int = 0
    orphans: int = 0
    bytes: int = 0


def state_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Where this user's sessions live: ``LANDUSE_STATE``, else ``$XDG_STATE_HOME`` or ``~/.local/state``."""
    if own := environ.get("LANDUSE_STATE"):
        return Path(own)
    return Path(environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "county-land-use"


def owner_of(request: Any) -> str:
    """Who asks: "user:<hash>" signed in, "browser:<hash>" by our cookie, else "tab:<hash>" of one page load.

    Args:
        request: ``gr.Request`` (``username``, ``cookies``, ``session_hash``).

    Raises:
        InputError: it tells none of the three.
    """
    username = getattr(request, "username", None)
    cookie = (getattr(request, "cookies", None) or {}).get(COOKIE, "")
    tab = getattr(request, "session_hash", None)
    if username:
        return f"user:{_hash(username)}"
    if _COOKIE_VALUE.fullmatch(cookie):
        return f"browser:{_hash(cookie)}"
    if tab:
        return f"tab:{_hash(tab)}"
    raise InputError("the request tells neither a user nor a browser; reload the page")


def new_cookie() -> str:
    """A value for COOKIE: 256 random bits."""
    return secrets.token_urlsafe(32)


class SessionStore:
    """All sessions; safe to use from several threads, and from several processes on one folder.

    Args:
        root: state folder, made if missing; readable by this user only.
        quota: limits.
    """

    def __init__(self, root: Path, quota: Quota | None = None) -> None:
        self.root, self.quota = root.resolve(), quota or Quota()
        for folder in (self.root, self.folder, self.received):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = threading.Lock()
        with self._database() as database:
            database.execute("PRAGMA journal_mode=WAL")
            database.executescript(_SCHEMA)

    @property
    def folder(self) -> Path:
        """One folder per session below."""
        return self.root / "sessions"

    @property
    def received(self) -> Path:
        """What browsers uploaded and downloads wait in: Gradio's own folder."""
        return self.root / "gradio"

    @contextmanager
    def _database(self) -> Iterator[sqlite3.Connection]:
        connection = sqlite3.connect(self.root / "sessions.sqlite", timeout=10, isolation_level=None)
        try:
            yield connection
        except sqlite3.OperationalError as error:
            if "full" in str(error):
                raise StorageError("disk") from error
            raise
        finally:
            connection.close()

    def open(self, owner: str) -> Session:
        """The owner's last used session; a new one where there is none."""
        with self._lock, self._database() as database:
            row = database.execute(
                "SELECT id FROM sessions WHERE owner = ? ORDER BY used DESC LIMIT 1", (owner,)
            ).fetchone()
            if row is not None:
                database.execute("UPDATE sessions SET used = ? WHERE id = ?", (time.time(), row[0]))
        return self.new(owner) if row is None else self._session(row[0], owner)

    def new(self, owner: str) -> Session:
        """A fresh session, which is then the owner's last used one."""
        session_id, now = secrets.token_hex(16), time.time()
        with self._lock, self._database() as database:
            database.execute("INSERT INTO sessions VALUES (?, ?, ?, ?)", (session_id, owner, now, now))
        return self._session(session_id, owner)

    def get(self, session_id: str, owner: str) -> Session:
        """A session by its id, if it is this owner's.

        Raises:
            InputError: there is none, or it is somebody else's; the message is the same.
        """
        with self._database() as database:
            row = database.execute("SELECT owner FROM sessions WHERE id = ?", (session_id,)).fetchone()
        if row is None or row[0] != owner or not _ID.fullmatch(session_id):
            raise InputError("there is no such session")
        return self._session(session_id, owner)

    def owned(self, owner: str) -> list[tuple[str, float]]:
        """Id and time of last use of the owner's sessions, the last used first."""
        with self._database() as database:
            return database.execute(
                "SELECT id, used FROM sessions WHERE owner = ? ORDER BY used DESC", (owner,)
            ).fetchall()

    def delete(self, session: Session) -> None:
        """Remove a session with its files and history."""
        with self._lock, self._database() as database:
            database.execute("DELETE FROM turns WHERE session = ?", (session.id,))
            database.execute("DELETE FROM sessions WHERE id = ?", (session.id,))
        shutil.rmtree(session.root, ignore_errors=True)

    def append(self, session: Session, role: str, content: Mapping[str, Any]) -> None:
        """Add a message to the history.

        Raises:
            StorageError: too many messages, or the disk is full.
        """
        text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
        limit, now = self.quota.session_turns, time.time()
        with self._lock, self._database() as database:
            (count,) = database.execute("SELECT COUNT(*) FROM turns WHERE session = ?", (session.id,)).fetchone()
            if count >= limit:
                raise StorageError("turns", n=limit)
            database.execute(
                "INSERT INTO turns (session, time, role, content) VALUES (?, ?, ?, ?)", (session.id, now, role, text)
            )
            database.execute("UPDATE sessions SET used = ? WHERE id = ?", (now, session.id))

    def history(self, session: Session, last: int = 200) -> list[Turn]:
        """The last messages, the oldest of them first."""
        with self._database() as database:
            rows = database.execute(
                "SELECT role, time, content FROM turns WHERE session = ? ORDER BY number DESC LIMIT ?",
                (session.id, last),
            ).fetchall()
        return [Turn(role, moment, json.loads(content)) for role, moment, content in reversed(rows)]

    def put(self, session: Session, source: Path, name: str | None = None) -> Path:
        """Take a file into the session's uploads, in a folder of its own.

        Args:
            session: whose it becomes.
            source: the file as the browser sent it; stays where it is.
            name: to keep; default the file's.

        Returns:
            The copy; letters, digits, dots, hyphens and underscores of the name stay, Chinese too.

        Raises:
            StorageError: over the quota, or the disk is full; nothing of the file stays behind.
        """
        size = source.stat().st_size
        self.check_room(session, size)
        folder = session.uploads / secrets.token_hex(4)
        target = folder / safe_name(name or source.name)
        try:
            folder.mkdir(parents=True, mode=0o700)
            shutil.copyfile(source, target)
        except OSError as error:
            shutil.rmtree(folder, ignore_errors=True)
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise StorageError("disk") from error
            raise
        return target

    def check_room(self, session: Session, size: int) -> None:
        """Raise StorageError where ``size`` more bytes in one more file pass a quota or fill the disk."""
        used, quota = tree_bytes(session.root), self.quota
        files = sum(1 for path in session.uploads.rglob("*") if path.is_file()) if session.uploads.is_dir() else 0
        if files >= quota.session_files:
            raise StorageError("files", n=files)
        if used + size > quota.session_bytes:
            raise StorageError("bytes", used=readable(used), size=readable(size), limit=readable(quota.session_bytes))
        if shutil.disk_usage(self.root).free < size + quota.free_bytes:
            raise StorageError("disk")

    def download(self, name: str) -> Path:
        """A path for a file to hand to the browser, below a folder that cannot be guessed; the cleaner removes it."""
        folder = self.received / secrets.token_hex(32)
        folder.mkdir(mode=0o700)
        return folder / safe_name(name)

    def own_workspace(self, session: Session) -> Workspace | None:
        """The session's own workspace; None before anything was added to one."""
        root = session.workspace_root
        return open_workspace(root) if (root / "workspace.yaml").is_file() else None

    def begin_workspace(self, session: Session, base: Workspace | None = None) -> Workspace:
        """The session's own workspace, made if missing.

        Args:
            session: whose.
            base: county whose scenes, zones, labels and samples it sees beside its own (by links); None makes it empty.
        """
        own = self.own_workspace(session)
        if own is not None:
            return own
        if base is None:
            return init_workspace(session.workspace_root)
        own = init_workspace(session.workspace_root, name=base.name, code=base.code, as_of=base.as_of)
        for kind in _LINKED:
            for path in sorted((base.root / kind).iterdir()):
                if not path.name.startswith("."):
                    (own.root / kind / path.name).symlink_to(path.resolve())
        return own

    def drop_links(self, workspace: Workspace) -> None:
        """Make an own workspace rest on its own files alone: the asker has scenes of another place."""
        for kind in _LINKED:
            for path in (workspace.root / kind).iterdir():
                if path.is_symlink():
                    path.unlink()

    def clean(self, now: float | None = None) -> Cleaned:
        """Delete what is too old, the longest unused sessions beyond the store's size, and files nobody owns."""
        now = time.time() if now is None else now
        removed, orphans, size = 0, 0, 0
        with self._database() as database:
            rows = database.execute("SELECT id, owner, used FROM sessions ORDER BY used").fetchall()
        sizes = {row[0]: tree_bytes(self.folder / row[0]) for row in rows}
        total = sum(sizes.values())
        for session_id, owner, used in rows:
            days = self.quota.keep_days if owner.startswith("user:") else self.quota.keep_anonymous_days
            if now - used > days * _DAY_S or total > self.quota.store_bytes:
                self.delete(Session(session_id, owner, self.folder / session_id))
                removed, size, total = removed + 1, size + sizes[session_id], total - sizes[session_id]
        known = {row[0] for row in rows}
        strays = [path for path in self.folder.iterdir() if path.name not in known]
        for path in [*strays, *self.received.iterdir()]:
            if now - last_touched(path) > self.quota.orphan_s:
                orphans, size = orphans + 1, size + tree_bytes(path)
                remove(path)
        return Cleaned(removed, orphans, size)

    def _session(self, session_id: str, owner: str) -> Session:
        root = self.folder / session_id
        root.mkdir(mode=0o700, exist_ok=True)
        return Session(session_id, owner, root)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]
