"""Sessions: own folders, own history, quotas, cleaning."""

import errno
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from src.errors import InputError
from src.geo.workspace import init_workspace, open_workspace
from src.serve.sessions import SessionStore, new_cookie, owner_of, state_folder
from src.serve.storage import Quota, StorageError, readable, safe_name, tree_bytes

REPO = Path(__file__).resolve().parents[2]
ALICE, BOB = "user:a", "browser:b"


@pytest.fixture
def store(tmp_path):
    return SessionStore(tmp_path / "state", Quota(free_bytes=0))


def a_file(tmp_path, name="f.tif", size=100):
    path = tmp_path / name
    path.write_bytes(b"x" * size)
    return path


def test_owners_are_users_browsers_or_tabs():
    cookie = new_cookie()
    request = SimpleNamespace(username=None, cookies={"landuse_session": cookie}, session_hash="tab1")
    browser = owner_of(request)
    assert browser.startswith("browser:") and cookie not in browser
    assert owner_of(SimpleNamespace(username=None, cookies={"landuse_session": cookie}, session_hash="2")) == browser
    assert owner_of(SimpleNamespace(username="lilei", cookies={}, session_hash="t")).startswith("user:")
    assert owner_of(SimpleNamespace(username=None, cookies={"landuse_session": "../x"}, session_hash="t")) == owner_of(
        SimpleNamespace(username=None, cookies={}, session_hash="t")
    )
    # A tab or cookie that calls itself like a user is still no user.
    assert owner_of(SimpleNamespace(username=None, cookies={}, session_hash="lilei")).startswith("tab:")
    with pytest.raises(InputError, match="reload"):
        owner_of(SimpleNamespace())


def test_the_state_folder_follows_the_environment():
    assert state_folder({"LANDUSE_STATE": "/x"}) == Path("/x")
    assert state_folder({"XDG_STATE_HOME": "/s"}) == Path("/s/county-land-use")
    assert state_folder({}) == Path.home() / ".local/state/county-land-use"


def test_history_survives_a_restart(store):
    session = store.open(ALICE)
    store.append(session, "user", {"text": "2024年新增耕地面积是多少？"})
    store.append(session, "assistant", {"text": "…", "answer": {"text": "1"}})
    again = SessionStore(store.root)
    resumed = again.open(ALICE)
    assert resumed.id == session.id
    assert [(turn.role, turn.content["text"]) for turn in again.history(resumed)] == [
        ("user", "2024年新增耕地面积是多少？"),
        ("assistant", "…"),
    ]
    assert again.history(again.open(BOB)) == []
    assert [turn.role for turn in again.history(resumed, last=1)] == ["assistant"]


def test_a_killed_process_loses_nothing_that_was_said(tmp_path):
    """R6: SIGKILL while writing; what append returned from is there."""
    code = (
        "import sys; from pathlib import Path; from src.serve.sessions import SessionStore\n"
        "store = SessionStore(Path(sys.argv[1])); session = store.open('user:a')\n"
        "for i in range(10**6):\n"
        "    store.append(session, 'user', {'text': str(i)}); print(i, flush=True)"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "s")], cwd=REPO, stdout=subprocess.PIPE, text=True
    )
    seen = [child.stdout.readline() for _ in range(20)]
    child.kill()
    rest = child.stdout.read().splitlines()
    child.wait()
    last = int(rest[-1] if rest else seen[-1])
    store = SessionStore(tmp_path / "s")
    kept = [int(turn.content["text"]) for turn in store.history(store.open("user:a"), last=10**6)]
    assert kept[: last + 1] == list(range(last + 1))


def test_a_new_session_is_the_last_used_one(store):
    first, second = store.open(ALICE), store.new(ALICE)
    assert store.open(ALICE).id == second.id != first.id
    store.append(first, "user", {"text": "x"})
    assert store.open(ALICE).id == first.id
    assert {session_id for session_id, _ in store.owned(ALICE)} == {first.id, second.id}


def test_one_owner_never_gets_anothers_session(store):
    alice, bob = store.open(ALICE), store.open(BOB)
    assert alice.root != bob.root and len(alice.id) == 32
    assert store.get(alice.id, ALICE) == alice
    for wrong in (alice.id, "0" * 32, "../" + alice.id, ""):
        with pytest.raises(InputError, match="no such session"):
            store.get(wrong, BOB)


def test_paths_stay_inside_the_session(store, tmp_path):
    alice, bob = store.open(ALICE), store.open(BOB)
    own = store.put(alice, a_file(tmp_path))
    assert alice.path(own.relative_to(alice.root)) == own and alice.path(own) == own
    secret = store.put(bob, a_file(tmp_path, "secret.tif"))
    (alice.uploads / "link").symlink_to(secret)
    for bad in (
        secret,
        f"../{bob.id}/uploads",
        "uploads/../../x",
        "/etc/passwd",
        "uploads/link",
        "http://127.0.0.1/x",
        "/vsicurl/http://x",
        "zip+file://a!b",
        "a\x00b",
    ):
        with pytest.raises(InputError):
            alice.path(bad)


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("../../etc/passwd", "passwd"),
        ("..\\..\\x.tif", "x.tif"),
        ("盐亭县 永久基本农田.gpkg", "盐亭县_永久基本农田.gpkg"),
        (".htaccess", "htaccess"),
        ("a\nb<script>.png", "a_b_script_.png"),
        ("///", "file"),
        ("长" * 200 + ".geojson", "长" * 37 + ".geojson"),
    ],
)
def test_file_names_are_made_harmless(name, kept):
    assert safe_name(name) == kept and len(kept.encode()) <= 120


def test_quotas_say_what_is_full(tmp_path):
    store = SessionStore(tmp_path / "s", Quota(session_bytes=250, session_files=3, session_turns=2, free_bytes=0))
    session = store.open(ALICE)
    store.put(session, a_file(tmp_path))
    store.put(session, a_file(tmp_path))
    with pytest.raises(StorageError) as caught:
        store.put(session, a_file(tmp_path))
    assert caught.value.key == "bytes" and "250 B" in caught.value.say["zh"]
    store.put(session, a_file(tmp_path, "small", 1))
    with pytest.raises(StorageError) as caught:
        store.put(session, a_file(tmp_path, "small", 1))
    assert caught.value.key == "files"
    store.append(session, "user", {})
    store.append(session, "assistant", {})
    with pytest.raises(StorageError) as caught:
        store.append(session, "user", {})
    assert caught.value.key == "turns"
    # Another owner is not affected.
    store.put(store.open(BOB), a_file(tmp_path))


def test_a_full_disk_is_told_and_leaves_nothing(store, tmp_path, monkeypatch):
    """R7: a partial file stayed behind, and the next small upload failed too."""
    session, source = store.open(ALICE), a_file(tmp_path)

    def fill(_, target):
        Path(target).write_bytes(b"part")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", fill)
    with pytest.raises(StorageError, match="disk is full"):
        store.put(session, source)
    assert tree_bytes(session.root) == 0 and list(session.uploads.iterdir()) == []
    monkeypatch.undo()
    assert store.put(session, source).read_bytes() == source.read_bytes()


def test_room_is_kept_free_on_the_disk(tmp_path):
    store = SessionStore(tmp_path / "s", Quota(free_bytes=1 << 60))
    with pytest.raises(StorageError, match="disk is full"):
        store.put(store.open(ALICE), a_file(tmp_path))


def test_cleaning_by_age_size_and_orphans(store, tmp_path):
    old, young, user = store.open("browser:old"), store.open(BOB), store.open(ALICE)
    store.put(old, a_file(tmp_path, size=1000))
    store.append(old, "user", {"text": "x"})
    store.put(young, a_file(tmp_path))
    now = time.time()
    assert store.clean(now).sessions == 0
    # Eight days later the browsers are forgotten, the user is not; bob came back meanwhile.
    with store._database() as database:
        database.execute("UPDATE sessions SET used = ? WHERE id = ?", (now + 7 * 86_400, young.id))
    removed = store.clean(now + 8 * 86_400)
    assert removed.sessions == 1 and removed.bytes >= 1000
    assert not old.root.exists() and young.root.exists() and user.root.exists()
    assert store.history(old) == []


def test_the_longest_unused_sessions_make_room(tmp_path):
    store = SessionStore(tmp_path / "s", Quota(store_bytes=2500, free_bytes=0))
    sessions = [store.open(f"user:{index}") for index in range(4)]
    for session in sessions:
        store.put(session, a_file(tmp_path, size=1000))
    assert store.clean().sessions == 2
    assert [session.root.exists() for session in sessions] == [False, False, True, True]


def test_orphans_of_aborted_uploads_go(store):
    """R8: 50 aborted uploads left 50 files; a running upload is still being written and stays."""
    for index in range(50):
        path = store.received / f"tmp{index}"
        path.write_bytes(b"x" * 10)
        os.utime(path, (time.time() - 7200,) * 2)
    stray = store.folder / ("f" * 32)
    stray.mkdir()
    os.utime(stray, (time.time() - 7200,) * 2)
    running = store.received / "tmprunning"
    running.write_bytes(b"x")
    taken = store.received / "abc"
    taken.mkdir()
    (taken / "fresh.png").write_bytes(b"x")
    os.utime(taken, (time.time() - 7200,) * 2)
    cleaned = store.clean()
    assert cleaned.orphans == 51 and cleaned.bytes == 500
    assert running.exists() and (taken / "fresh.png").exists() and not stray.exists()


def test_downloads_lie_in_a_folder_that_cannot_be_guessed(store):
    first, second = store.download("台账.xlsx"), store.download("台账.xlsx")
    assert first != second and first.name == "台账.xlsx" and len(first.parent.name) == 64


def test_the_state_folder_is_for_this_user_only(store):
    assert all((path.stat().st_mode & 0o077) == 0 for path in (store.root, store.folder, store.received))


def test_own_workspace_alone_or_upon_a_county(store, tmp_path):
    base = init_workspace(tmp_path / "county", name="盐亭县", code="510723", as_of="2024-12-31")
    (base.root / "scenes" / "s1").mkdir()
    (base.root / "zones" / "town.gpkg").write_bytes(b"x")
    session = store.open(ALICE)
    assert store.own_workspace(session) is None
    own = store.begin_workspace(session, base)
    assert (own.name, own.code, own.as_of) == ("盐亭县", "510723", "2024-12-31")
    assert (own.root / "scenes" / "s1").resolve() == base.root / "scenes" / "s1"
    # Links count nothing, and deleting the session leaves the county alone.
    assert tree_bytes(session.root) < 1000
    (own.root / "zones" / "mine.gpkg").write_bytes(b"y")
    store.drop_links(own)
    assert list(own.zones()) == ["mine"] and list((own.root / "scenes").iterdir()) == []
    store.delete(session)
    assert not session.root.exists() and (base.root / "scenes" / "s1").is_dir()
    assert list(open_workspace(base.root).zones()) == ["town"]
    fresh = store.begin_workspace(store.open(ALICE))
    assert fresh.name == "" and fresh.scenes() == ()


def test_sizes_for_people():
    assert [readable(size) for size in (10, 1536, 5 << 30)] == ["10 B", "1.5 kB", "5 GB"]
