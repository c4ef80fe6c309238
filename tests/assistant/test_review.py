"""The review log: what is accepted, what stays, and who wrote it."""

import csv
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from openpyxl import load_workbook

from src.assistant.review import CAUSES, STATES, ReviewLog
from src.errors import InputError
from src.geo.patches.fields import CHECK_STATES, FALSE_CHANGE_CAUSES

PATCH = "510723-20241028-20-00042"


def test_the_states_are_those_of_the_issue_and_of_the_patch_tables():
    assert set(STATES) == {"待核查", "伪变化", "合法", "疑似违法移交", "设施农用地"}
    assert tuple(STATES) == CHECK_STATES and tuple(CAUSES) == FALSE_CHANGE_CAUSES
    assert all(set(names) == {"zh", "en"} and all(names.values()) for names in (*STATES.values(), *CAUSES.values()))


def test_decisions_stay_with_old_and_new_state(tmp_path):
    log = ReviewLog(tmp_path)
    log.set(PATCH, "伪变化", user="李雷", reason="物候", note="水稻收割", evidence_id="ab12")
    log.set(PATCH, "疑似违法移交", user="韩梅梅")
    log.set("other", "合法", user="李雷")
    again = ReviewLog(tmp_path)
    assert again.states() == {PATCH: "疑似违法移交", "other": "合法"}
    rows = again.history(PATCH)
    assert [(row.user, row.old, row.new, row.reason) for row in rows] == [
        ("李雷", "待核查", "伪变化", "物候"),
        ("韩梅梅", "伪变化", "疑似违法移交", ""),
    ]
    assert rows[0].note == "水稻收割" and rows[0].evidence_id == "ab12"
    assert [row.number for row in again.audit()] == [1, 2, 3]
    moment = datetime.fromisoformat(rows[0].time)
    assert moment.utcoffset() == timedelta(0) and abs(datetime.now(UTC) - moment) < timedelta(minutes=5)


@pytest.mark.parametrize(
    ("patch", "state", "reason", "said"),
    [
        (PATCH, "违法", "", "expected one of 待核查"),
        (PATCH, "伪变化", "", "物候"),
        (PATCH, "伪变化", "天气", "物候"),
        (PATCH, "合法", "物候", "takes no reason"),
        (" ", "合法", "", "number of its patch"),
    ],
)
def test_what_cannot_be_is_refused_and_not_written(tmp_path, patch, state, reason, said):
    log = ReviewLog(tmp_path)
    with pytest.raises(InputError, match=said):
        log.set(patch, state, user="u", reason=reason)
    with pytest.raises(InputError, match="2000"):
        log.set(PATCH, "合法", user="u", note="长" * 2001)
    assert log.audit() == ()


def test_rows_cannot_be_changed_or_removed(tmp_path):
    log = ReviewLog(tmp_path)
    log.set(PATCH, "合法", user="u")
    with sqlite3.connect(log.path) as database:
        for statement in ("UPDATE decisions SET new = '待核查'", "DELETE FROM decisions"):
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                database.execute(statement)
    assert log.states() == {PATCH: "合法"}


def test_many_writers_at_once_lose_nothing(tmp_path):
    """Each decision names the state that the one before it left: reading and writing are one step."""

    def write(index: int) -> None:
        ReviewLog(tmp_path).set(PATCH, "合法" if index % 2 else "设施农用地", user=f"u{index}")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(80)))
    rows = ReviewLog(tmp_path).audit()
    assert len(rows) == 80 and {row.user for row in rows} == {f"u{index}" for index in range(80)}
    assert [row.old for row in rows] == ["待核查", *(row.new for row in rows[:-1])]


def test_another_process_sees_and_writes(tmp_path):
    ReviewLog(tmp_path).set(PATCH, "合法", user="here")
    code = (
        "import sys; from pathlib import Path; from src.assistant.review import ReviewLog; "
        "ReviewLog(Path(sys.argv[1])).set(sys.argv[2], '待核查', user='there')"
    )
    repo = Path(__file__).resolve().parents[2]
    subprocess.run([sys.executable, "-c", code, str(tmp_path), PATCH], check=True, cwd=repo, timeout=60)
    assert [row.user for row in ReviewLog(tmp_path).history(PATCH)] == ["here", "there"]


def test_the_log_is_written_as_tables_that_run_nothing(tmp_path):
    log = ReviewLog(tmp_path)
    log.set(PATCH, "伪变化", user="=HYPERLINK(1)", reason="云影", note="@x")
    with log.write(tmp_path / "audit.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0][:4] == ["序号", "时间(UTC)", "核查人", "图斑编号"]
    assert rows[1][2] == "'=HYPERLINK(1)" and rows[1][7] == "'@x"
    assert rows[1][4:7] == ["待核查", "伪变化", "云影"]
    sheet = load_workbook(log.write(tmp_path / "audit.xlsx", "en")).active
    cells = [[cell.value for cell in row] for row in sheet.iter_rows()]
    assert cells[1][2] == "=HYPERLINK(1)" and sheet["C2"].data_type == "s"
    assert cells[1][4:7] == ["to be checked", "false change", "cloud shadow"]
    with pytest.raises(InputError, match=".xlsx or .csv"):
        log.write(tmp_path / "audit.pdf")
