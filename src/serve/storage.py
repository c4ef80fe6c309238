"""What sessions may store: limits, file names, sizes, and what is said when something cannot be kept."""

import os
import re
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from src.errors import LandUseError

# What cannot be stored, said to the asker.
TEXT = {
    "disk": {
        "zh": "服务器磁盘空间不足，文件未保存。请稍后再试，或联系管理员清理空间。",
        "en": "The server's disk is full; the file was not kept. Try again later, or ask the administrator for space.",
    },
    "bytes": {
        "zh": "本会话的文件共 {used}，再加 {size} 将超过 {limit} 的上限。请先删除不用的文件或新建会话。",
        "en": "This session's files take {used}; {size} more would pass the limit of {limit}. Delete some files, or "
        "begin a new session.",
    },
    "files": {
        "zh": "本会话已有 {n} 个文件，达到上限。请先删除不用的文件或新建会话。",
        "en": "This session holds {n} files, which is the limit. Delete some files or begin a new session.",
    },
    "turns": {
        "zh": "本会话已达 {n} 条消息，请新建会话。",
        "en": "This session holds {n} messages, which is the limit; begin a new session.",
    },
}


class StorageError(LandUseError):
    """Something cannot be kept; carries what to tell the asker.

    Args:
        key: of TEXT.
        values: for its placeholders.
    """

    exit_code = 1

    def __init__(self, key: str, **values: object) -> None:
        self.key = key
        self.say = {lang: text.format(**values) for lang, text in TEXT[key].items()}
        super().__init__(self.say["en"])


@dataclass(frozen=True)
class Quota:
    """Limits of one session, and of the store.

    Args:
        session_bytes: of all files of a session.
        session_files: uploads of a session.
        session_turns: messages of a session.
        store_bytes: of all sessions; the longest unused go first.
        keep_days: unused sessions are deleted after so many days.
        keep_anonymous_days: likewise, of browsers that did not sign in.
        orphan_s: seconds after which a browser's upload that nobody took is deleted.
        free_bytes: that must stay free on the disk.
    """

    session_bytes: int = 4 << 30
    session_files: int = 200
    session_turns: int = 2_000
    store_bytes: int = 64 << 30
    keep_days: float = 90.0
    keep_anonymous_days: float = 7.0
    orphan_s: float = 3_600.0
    free_bytes: int = 256 << 20


def safe_name(name: str) -> str:
    """A file name without separators, control characters, leading dots; at most 120 bytes, its suffix kept."""
    base = re.sub(r"[^\w.\-]+", "_", name.replace("\\", "/").rsplit("/", 1)[-1]).lstrip(".")
    stem, dot, suffix = base.rpartition(".")
    if not dot:
        stem, suffix = base, ""
    tail = f"{dot}{suffix}".encode()[:20].decode(errors="ignore")
    return (stem.encode()[: 120 - len(tail.encode())].decode(errors="ignore") or "file") + tail


def readable(size: int) -> str:
    """Bytes for people, such as "1.5 GB" (powers of 1024)."""
    value, units = float(size), ["B", "kB", "MB", "GB", "TB"]
    while value >= 1024 and len(units) > 1:
        value /= 1024
        units.pop(0)
    return f"{value:.3g} {units[0]}"


def tree_bytes(path: Path) -> int:
    """Bytes of a file or of all files below a folder; links count nothing."""
    if path.is_symlink():
        return 0
    if path.is_file():
        return path.stat().st_size
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            try:
                status = os.lstat(os.path.join(folder, name))
            except FileNotFoundError:  # removed meanwhile
                continue
            total += status.st_size if not os.path.islink(os.path.join(folder, name)) else 0
    return total


def last_touched(path: Path) -> float:
    """Time of the latest change of a file, or of a folder and what lies directly in it."""
    try:
        inside = [child.lstat().st_mtime for child in path.iterdir()] if path.is_dir() else []
        return max([path.lstat().st_mtime, *inside])
    except FileNotFoundError:
        return time.time()


def remove(path: Path) -> None:
    """Delete a file, or a folder with all that is in it; a link is deleted, not followed."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
