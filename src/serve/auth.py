"""Who may sign in: an htpasswd file with bcrypt hashes, and a brake on guessing.

    htpasswd -B -c users.htpasswd lilei

Wrong logins are counted per user and address, per address, and per user; beyond
a few, each further one doubles the time in which nothing is even compared.
Known and unknown names cost the same work. Passwords are never logged.
"""

import asyncio
import logging
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

import bcrypt

from src.errors import InputError, MissingPathError

log = logging.getLogger(__name__)
# Address of the request being answered; set by the web server's middleware.
client_address: ContextVar[str] = ContextVar("client_address", default="")

_BCRYPT = re.compile(r"\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}")
_MIN_COST = 5
# bcrypt reads no further, and refuses longer input.
_MAX_PASSWORD_BYTES = 72
# Hash of a password that nobody has, at the default cost, so that unknown names take as long as known ones.
_NOBODY = bcrypt.hashpw(b"\x01", bcrypt.gensalt(10))

TEXT = {
    "login": {
        "zh": "请用管理员分配的账号登录。多次输错后需等待一段时间再试。",
        "en": "Sign in with the account you were given. After several wrong tries you have to wait.",
    },
    "locked": {
        "zh": "登录失败次数过多，请 {seconds} 秒后再试。",
        "en": "Too many wrong logins; try again in {seconds} s.",
    },
}


def read_htpasswd(path: Path) -> dict[str, bytes]:
    """Users and their bcrypt hashes.

    Args:
        path: lines of ``name:hash``; empty lines and those that begin with "#" are left out.

    Raises:
        MissingPathError: no such file.
        InputError: no user, a name twice, or a hash that is not bcrypt; the line is named, the hash is not shown.
    """
    if not path.is_file():
        raise MissingPathError(f"--auth {path}: no such file; make it with: htpasswd -B -c {path} NAME")
    users: dict[str, bytes] = {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"--auth {path}: is no UTF-8 text") from error
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        name, colon, value = text.partition(":")
        found = _BCRYPT.fullmatch(value)
        if not colon or not name or found is None:
            raise InputError(
                f"--auth {path}: line {number} is not 'name:hash' with a bcrypt hash ($2y$...); "
                "write it with: htpasswd -B (other kinds of hash are too easy to guess)"
            )
        if int(found.group(1)) < _MIN_COST:
            raise InputError(f"--auth {path}: line {number}: bcrypt cost {found.group(1)} is too low; use 10 or more")
        if name in users:
            raise InputError(f"--auth {path}: line {number}: {name} stands there twice")
        users[name] = value.encode()
    if not users:
        raise InputError(f"--auth {path}: holds no user; add one with: htpasswd -B {path} NAME")
    return users


@dataclass(frozen=True)
class Limits:
    """After ``free`` wrong logins each further one closes the door for twice as long, up to ``longest_s`` seconds."""

    free: int
    first_s: float = 1.0
    longest_s: float = 900.0


# A whole office may share an address, and anyone may try a name from anywhere: both get more tries than a pair.
PAIR, ADDRESS, USER = Limits(5), Limits(30), Limits(50, longest_s=60.0)


class Throttle:
    """Counts wrong logins; what was not tried for ``forget_s`` seconds is forgotten.

    Args:
        clock: seconds.
        forget_s: after the end of the last delay.
        most: keys remembered; the oldest go first.
    """

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, forget_s: float = 1800.0, most: int = 10_000
    ) -> None:
        self._clock, self._forget_s, self._most = clock, forget_s, most
        self._lock = threading.Lock()
        # Key -> (wrong logins, moment from which on it may be tried again).
        self._wrong: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def wait_s(self, user: str, address: str) -> float:
        """Seconds until this user may be tried from this address; 0 where now."""
        with self._lock:
            return max(self._wait(key) for key, _ in _keys(user, address))

    def address_wait_s(self, address: str) -> float:
        """Seconds until anyone may be tried from this address."""
        with self._lock:
            return self._wait(f"address {address}")

    def wrong(self, user: str, address: str) -> None:
        """Count a wrong login."""
        now = self._clock()
        with self._lock:
            for key, limits in _keys(user, address):
                count, until = self._wrong.pop(key, (0, now))
                count = 1 if now > until + self._forget_s else count + 1
                over = count - limits.free
                delay = min(limits.first_s * 2.0 ** min(over, 30), limits.longest_s) if over >= 0 else 0.0
                self._wrong[key] = (count, now + delay)
            while len(self._wrong) > self._most:
                self._wrong.popitem(last=False)

    def right(self, user: str, address: str) -> None:
        """Forget this user's wrong logins from this address, and the one that was counted beforehand elsewhere."""
        with self._lock:
            pair, *others = (key for key, _ in _keys(user, address))
            self._wrong.pop(pair, None)
            for key in others:
                count, _ = self._wrong.pop(key, (0, 0.0))
                if count > 1:
                    self._wrong[key] = (count - 1, self._clock())

    def _wait(self, key: str) -> float:
        return max(0.0, self._wrong.get(key, (0, 0.0))[1] - self._clock())


def _keys(user: str, address: str) -> tuple[tuple[str, Limits], ...]:
    return (f"pair {address} {user}", PAIR), (f"address {address}", ADDRESS), (f"user {user}", USER)


class Gate:
    """Decides about logins.

    Args:
        users: from ``read_htpasswd``.
        throttle: default a fresh one.
    """

    def __init__(self, users: dict[str, bytes], throttle: Throttle | None = None) -> None:
        self._users, self.throttle = users, throttle or Throttle()

    async def login(self, user: str, password: str) -> bool:
        """Whether this name and password are right and not throttled; as ``gr.mount_gradio_app(auth=)`` asks."""
        address = client_address.get()
        if self.throttle.wait_s(user, address) > 0:
            log.warning("login refused: throttled")
            return False
        # Counted before the slow comparison: many at once must not all slip through before the first one fails.
        self.throttle.wrong(user, address)
        right = await asyncio.to_thread(self._matches, user, password)
        if right:
            self.throttle.right(user, address)
        else:
            log.warning("login refused: wrong name or password")
        return right

    def _matches(self, user: str, password: str) -> bool:
        given = password.encode()
        # Too long for bcrypt: compared all the same, so that the time tells nothing.
        right = bcrypt.checkpw(given[:_MAX_PASSWORD_BYTES], self._users.get(user, _NOBODY))
        return right and user in self._users and len(given) <= _MAX_PASSWORD_BYTES
