"""What people decided about suspected patches: an append-only log that survives restarts and concurrent writers.

    log = ReviewLog(workspace.root)
    log.set("510723-20241028-20-00042", "伪变化", user="李雷", reason="物候")
    log.states()

SQLite in write-ahead mode, one row per decision; rows are never changed or
removed (triggers refuse it). Times are UTC. The states and causes are those of
the patch tables (``src.geo.patches.fields``), so a ledger and this log agree.
"""

import csv
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from datetime import UTC, datetime
from pathlib import Path

from openpyxl import Workbook

from src.errors import InputError
from src.geo.patches.fields import CHECK_STATE_NAMES, CHECK_STATES, FALSE_CHANGE_CAUSES, FALSE_CHANGE_NAMES
from src.geo.raster import atomic_path

FIRST_STATE = CHECK_STATES[0]
FALSE_CHANGE = "伪变化"
# The stored words are the Chinese ones; how to say them in either language.
STATES: dict[str, dict[str, str]] = {zh: {"zh": zh, "en": en} for zh, en in CHECK_STATE_NAMES.items()}
CAUSES: dict[str, dict[str, str]] = {zh: {"zh": zh, "en": en} for zh, en in FALSE_CHANGE_NAMES.items()}
HEADINGS: dict[str, dict[str, str]] = {
    "number": {"zh": "序号", "en": "number"},
    "time": {"zh": "时间(UTC)", "en": "time (UTC)"},
    "user": {"zh": "核查人", "en": "user"},
    "patch_id": {"zh": "图斑编号", "en": "patch number"},
    "old": {"zh": "原状态", "en": "state before"},
    "new": {"zh": "新状态", "en": "state after"},
    "reason": {"zh": "伪变化原因", "en": "cause of a false change"},
    "note": {"zh": "备注", "en": "note"},
    "evidence_id": {"zh": "证据编号", "en": "evidence id"},
}
_SHEET = {"zh": "核查记录", "en": "Review log"}
_SCHEMA = """
CREATE TABLE IF NOT EXISTS decisions (
    number INTEGER PRIMARY KEY AUTOINCREMENT, time TEXT NOT NULL, user TEXT NOT NULL, patch TEXT NOT NULL,
    old TEXT NOT NULL, new TEXT NOT NULL, reason TEXT NOT NULL, note TEXT NOT NULL, evidence TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS by_patch ON decisions (patch, number);
CREATE TRIGGER IF NOT EXISTS no_update BEFORE UPDATE ON decisions
    BEGIN SELECT RAISE(ABORT, 'the review log is append-only'); END;
CREATE TRIGGER IF NOT EXISTS no_delete BEFORE DELETE ON decisions
    BEGIN SELECT RAISE(ABORT, 'the review log is append-only'); END;
"""
_LONGEST = 2000
_FORMULA_START = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True)
class Decision:
    """One row of the log.

    Args:
        number: in the order of writing, from 1.
        time: UTC, ISO, to the second.
        user: who decided, "" where nobody signed in.
        patch_id: TBBH.
        old: state before.
        new: state after.
        reason: cause of a false change, else "".
        note: free words.
        evidence_id: of the answer that it was decided on.
    """

    number: int
    time: str
    user: str
    patch_id: str
    old: str
    new: str
    reason: str
    note: str
    evidence_id: str


class ReviewLog:
    """The log of one county; cheap to make.

    Args:
        root: folder of ``reviews.sqlite``, made if missing.
    """

    def __init__(self, root: Path) -> None:
        root.mkdir(parents=True, exist_ok=True)
        self.path = root / "reviews.sqlite"
        with self._database() as database:
            database.execute("PRAGMA journal_mode=WAL")
            database.executescript(_SCHEMA)

    @contextmanager
    def _database(self) -> Iterator[sqlite3.Connection]:
        connection = sqlite3.connect(self.path, timeout=30, isolation_level=None)
        try:
            yield connection
        finally:
            connection.close()

    def set(
        self, patch_id: str, state: str, user: str, reason: str = "", note: str = "", evidence_id: str = ""
    ) -> Decision:
        """Write a decision; one that changes nothing is written too, since somebody looked again.

        Args:
            patch_id: TBBH.
            state: one of STATES.
            user: who decides.
            reason: one of CAUSES, for a false change and only there.
            note: free words, at most 2000 letters.
            evidence_id: of the answer that it is decided on.

        Raises:
            InputError: an unknown state or cause, a cause that is missing or out of place, no patch, or a long text.
        """
        _check(patch_id, state, reason, (patch_id, user, note, evidence_id))
        moment = datetime.now(UTC).isoformat(timespec="seconds")
        with self._database() as database:
            # Takes the write lock at once, so that no other writer comes between reading the old state and writing.
            database.execute("BEGIN IMMEDIATE")
            row = database.execute(
                "SELECT new FROM decisions WHERE patch = ? ORDER BY number DESC LIMIT 1", (patch_id,)
            ).fetchone()
            old = row[0] if row else FIRST_STATE
            values = (moment, user, patch_id, old, state, reason, note, evidence_id)
            cursor = database.execute(
                "INSERT INTO decisions (time, user, patch, old, new, reason, note, evidence) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                values,
            )
            database.execute("COMMIT")
        assert cursor.lastrowid is not None
        return Decision(cursor.lastrowid, *values)

    def states(self) -> dict[str, str]:
        """State by patch, of all patches that somebody decided on; all others are FIRST_STATE."""
        return {patch: decision.new for patch, decision in self.latest().items()}

    def latest(self) -> dict[str, Decision]:
        """The last decision by patch."""
        return {one.patch_id: one for one in self.audit()}

    def history(self, patch_id: str) -> tuple[Decision, ...]:
        """All decisions on a patch, the oldest first."""
        return self._rows("WHERE patch = ?", (patch_id,))

    def audit(self) -> tuple[Decision, ...]:
        """All decisions, the oldest first."""
        return self._rows("", ())

    def write(self, path: Path, lang: str = "zh") -> Path:
        """The whole log as a table.

        Args:
            path: .xlsx, or .csv (UTF-8 with a byte order mark).
            lang: "zh" or "en", of headings, states and causes.

        Raises:
            InputError: another suffix.
        """
        rows = [[heading[lang] for heading in HEADINGS.values()]]
        rows += [_said(decision, lang) for decision in self.audit()]
        if path.suffix == ".csv":
            with atomic_path(path) as partial, partial.open("w", encoding="utf-8-sig", newline="") as file:
                csv.writer(file, lineterminator="\r\n").writerows([[_harmless(cell) for cell in row] for row in rows])
        elif path.suffix == ".xlsx":
            _write_xlsx(path, rows, _SHEET[lang])
        else:
            raise InputError(f"{path.name}: the log is written as .xlsx or .csv")
        return path

    def _rows(self, where: str, values: tuple[str, ...]) -> tuple[Decision, ...]:
        with self._database() as database:
            rows = database.execute(
                f"SELECT number, time, user, patch, old, new, reason, note, evidence FROM decisions {where} "
                "ORDER BY number",
                values,
            ).fetchall()
        return tuple(Decision(*row) for row in rows)


def _check(patch_id: str, state: str, reason: str, texts: tuple[str, ...]) -> None:
    if not patch_id.strip():
        raise InputError("a decision needs the number of its patch")
    if state not in STATES:
        raise InputError(f"state {state!r}: expected one of {', '.join(STATES)}")
    if state == FALSE_CHANGE and reason not in FALSE_CHANGE_CAUSES:
        raise InputError(f"{FALSE_CHANGE} with reason {reason!r}: expected one of {', '.join(FALSE_CHANGE_CAUSES)}")
    if state != FALSE_CHANGE and reason:
        raise InputError(f"{state} takes no reason (got {reason!r}); write it as the note")
    if any(len(text) > _LONGEST for text in texts):
        raise InputError(f"a note or name is longer than {_LONGEST} letters; shorten it")


def _said(decision: Decision, lang: str) -> list[str]:
    row = [str(value) for value in astuple(decision)]
    # Columns of states and causes, in the language asked for.
    row[4], row[5] = STATES[decision.old][lang], STATES[decision.new][lang]
    row[6] = CAUSES[decision.reason][lang] if decision.reason else ""
    return row


def _harmless(text: str) -> str:
    """A text that a spreadsheet would run as a formula, behind an apostrophe."""
    return f"'{text}" if text.startswith(_FORMULA_START) else text


def _write_xlsx(path: Path, rows: list[list[str]], title: str) -> None:
    """All cells are text, so none is run as a formula."""
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.title, sheet.freeze_panes = title, "A2"
    for r, row in enumerate(rows, 1):
        for c, value in enumerate(row, 1):
            sheet.cell(r, c, value).data_type = "s"
    with atomic_path(path) as partial:
        book.save(partial)
