"""The lazy store: containers, indexing, bad rows, rejects, pickling, size."""

import json
import multiprocessing
import pickle
import time
from pathlib import Path

import psutil
import pytest
from PIL import Image

from src.dataset import records
from src.dataset.records import index_array, index_records
from src.dataset.schema import Conversation
from src.dataset.store import ConversationStore
from src.errors import BadRowError, InputError, MissingPathError

QUESTION, ANSWER = {"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}


def row(number: int, answer: str = "yes", **fields) -> dict:
    turns = [{"from": "human", "value": f"Question {number}?"}, {"from": "gpt", "value": answer}]
    return {"id": number, "conversations": turns, **fields}


def with_image(number: int, path: str) -> dict:
    turns = [{"from": "human", "value": "<image>\nWhat?"}, {"from": "gpt", "value": "a"}]
    return {"id": number, "image": path, "conversations": turns}


def write(path: Path, content: str | list | dict) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def ids(store: ConversationStore) -> list[str]:
    return [conversation.id for conversation in store]


TRICKY = [
    row(0, 'quotes " and \\ and "},{" inside'),
    row(1, "brackets ]}[{ , : \n\t é 耕地 \u2028"),
    row(2, "ends with a backslash \\"),
    row(3, "x" * 300, note={"nested": [{"a": []}, {}]}),
]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("array.json", json.dumps(TRICKY)),
        ("pretty.json", json.dumps(TRICKY, indent=2, ensure_ascii=False)),
        ("bom.json", "\ufeff \n" + json.dumps(TRICKY)),
        ("dict.json", json.dumps({f'k"{i}': value for i, value in enumerate(TRICKY)})),
        ("pretty_dict.json", json.dumps({str(i): value for i, value in enumerate(TRICKY)}, indent=1)),
        ("lines.jsonl", "\n".join(json.dumps(value) for value in TRICKY)),
        ("blank_lines.jsonl", "\ufeff\n\n" + "\n \n\n".join(json.dumps(value) for value in TRICKY) + "\n\n"),
        ("crlf.jsonl", "\r\n".join(json.dumps(value) for value in TRICKY) + "\r\n"),
        ("lines_named.json", "\n".join(json.dumps(value) for value in TRICKY)),
    ],
)
@pytest.mark.parametrize("block", [7, 1 << 22])
def test_rows_are_found_in_every_container(
    name: str, content: str, block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(records, "_BLOCK_BYTES", max(block, 400) if name.startswith(("lines", "blank")) else block)
    path = tmp_path / name
    path.write_text(content, encoding="utf-8", newline="")
    found = index_records(path)
    assert len(found) == 4
    assert [found.read(index) for index in range(4)] == TRICKY
    assert [turn.text() for turn in ConversationStore(path)[2].turns] == ["Question 2?", "ends with a backslash \\"]


def test_a_single_row_is_a_file_too(tmp_path: Path):
    assert ids(ConversationStore(write(tmp_path / "a.json", json.dumps(row(7))))) == ["7"]
    assert ids(ConversationStore(write(tmp_path / "b.json", [row(7)]))) == ["7"]
    assert ids(ConversationStore(write(tmp_path / "c.json", {"only": row(7)}))) == ["7"]


def test_csv_records_may_span_lines_and_carry_a_bom(tmp_path: Path):
    (tmp_path / "图.png").touch()
    text = '\ufeffimage_path,caption\r\n图.png,"一, ""二""\r\n三"\r\n\r\n图.png,four\r\n'
    path = tmp_path / "captions.csv"
    path.write_text(text, encoding="utf-8", newline="")
    store = ConversationStore(path)
    assert [conversation.turns[1].text() for conversation in store] == ['一, "二"\r\n三', "four"]
    assert store[0].images == (str(tmp_path / "图.png"),)
    with path.open("ab") as file:
        file.write(b"only one field\r\na.png,\xbf\xbf\r\n")
    rejects = ConversationStore(path, skip_bad_rows=True).rejects
    assert [reject["index"] for reject in rejects] == [2, 3]
    assert rejects[0]["reason"] == "1 fields, expected 2: image_path, caption"
    assert "not UTF-8" in rejects[1]["reason"]


def test_an_array_under_a_key(tmp_path: Path):
    path = write(tmp_path / "x.json", {"info": {"questions": [9]}, "questions": [{"id": 1}, {"id": 2}], "more": []})
    found = index_array(path, "questions")
    assert [found.read(index) for index in range(2)] == [{"id": 1}, {"id": 2}]
    assert len(index_array(path, "more")) == 0
    with pytest.raises(InputError, match="no array under 'info'"):
        index_array(path, "info")
    for index in (lambda path: index_array(path, "info"), index_records):
        with pytest.raises(MissingPathError, match="none.json: no such file"):
            index(tmp_path / "none.json")


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.json", "", "the file is empty"),
        ("a.json", " \n ", "the file is empty"),
        ("a.csv", "", "the file is empty"),
        ("a.json", "[]", "no usable row of 0|unknown format"),
        ("a.json", json.dumps([row(0), row(1)])[:-9], "the JSON ends inside its row 1"),
        ("a.json", '[{"id": "cut', "the JSON ends inside its row 0"),
        ("a.jsonl", "not json\n", "unknown format"),
    ],
)
def test_unusable_files(name: str, content: str, reason: str, tmp_path: Path):
    with pytest.raises(InputError, match=reason):
        ConversationStore(write(tmp_path / name, content))


def test_missing_paths(tmp_path: Path):
    with pytest.raises(MissingPathError, match="none.json: no such data file"):
        ConversationStore(tmp_path / "none.json")
    with pytest.raises(MissingPathError, match="no such image folder"):
        ConversationStore(write(tmp_path / "a.json", [row(0)]), tmp_path / "none")
    with pytest.raises(InputError, match="--data_path is empty"):
        ConversationStore(" , ")
    with pytest.raises(InputError, match="--data_format parquet: expected one of llava, mmdu"):
        ConversationStore(tmp_path / "a.json", data_format="parquet")


def bad_rows(folder: Path) -> dict[str, object]:
    """One row per kind of fault: reason -> row (a string stands for a raw line)."""
    Image.new("RGB", (500, 2)).save(folder / "thin.png")
    (folder / "text.png").write_text("<html>not found</html>")
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    return {
        "invalid JSON": '{"id": 1, "conversations": [',
        "invalid JSON: maximum recursion depth": "[" * 100_000 + "]" * 100_000,
        "not an object: list": [1, 2],
        "unknown role 'narrator'": {"conversations": [{"from": "narrator", "value": "x"}]},
        "wrong role order: turn 1": {"conversations": [QUESTION, QUESTION, ANSWER]},
        "empty conversation": {"conversations": []},
        "no assistant turn": {"conversations": [QUESTION]},
        "empty answer": row(0, " "),
        "non-string text in turn 1: float": {"conversations": [QUESTION, {"from": "gpt", "value": 0.5}]},
        "1 image placeholders for 0 images": {**with_image(0, ""), "image": []},
        "missing file": with_image(0, "none.png"),
        "broken.png: unreadable image header": with_image(0, "broken.png"),
        "text.png: unreadable image header: no known image format": with_image(0, "text.png"),
        "500 x 2 pixels; the sides may differ": with_image(0, "thin.png"),
        "without permission: set --allow_remote_images": with_image(0, "https://example.org/a.png"),
    }


def test_each_kind_of_bad_row_gives_its_own_reason(tmp_path: Path):
    faults = bad_rows(tmp_path)
    lines = [fault if isinstance(fault, str) else json.dumps(fault) for fault in faults.values()]
    path = write(tmp_path / "rows.jsonl", "\n".join([json.dumps(row(0)), *lines, json.dumps(row(99))]))
    rejects_path = tmp_path / "out" / "rejects.jsonl"
    store = ConversationStore(path, tmp_path, skip_bad_rows=True, rejects_path=rejects_path, check_headers=True)
    assert ids(store) == ["0", "99"]
    assert store.origin(1) == (str(path), 16)
    assert len(store.rejects) == len(faults) == 15
    for number, (reason, reject) in enumerate(zip(faults, store.rejects, strict=True), start=1):
        assert (reject["index"], reject["source"]) == (number, str(path))
        assert reason in reject["reason"]
    assert [json.loads(line) for line in rejects_path.read_text().splitlines()] == store.rejects
    assert len({reject["reason"] for reject in store.rejects}) == 15


def test_a_bad_row_is_refused_by_default_with_its_index(tmp_path: Path):
    path = write(tmp_path / "rows.json", [row(0), row(1), row(2, "")])
    with pytest.raises(BadRowError, match=r"rows.json: row 2: empty answer") as error:
        ConversationStore(path)
    assert (error.value.index, error.value.exit_code) == (2, 2)


def test_a_file_of_bad_rows_only(tmp_path: Path):
    path = write(tmp_path / "rows.json", [row(0, ""), row(1, "")])
    with pytest.raises(InputError, match="no usable row of 2; the first reason: empty answer"):
        ConversationStore(path, skip_bad_rows=True)
    assert len(ConversationStore(path, skip_bad_rows=True, allow_empty=True)) == 0


def test_a_row_that_breaks_after_the_check_names_itself(tmp_path: Path):
    path = write(tmp_path / "rows.jsonl", json.dumps(row(0)) + "\n")
    store = ConversationStore(path)
    write(path, "x" * 200)
    with pytest.raises(BadRowError, match="row 0: invalid JSON"):
        store[0]


def test_several_files_and_formats(tmp_path: Path):
    first = write(tmp_path / "a.json", [row(1), row(2)])
    messages = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
    second = write(tmp_path / "b.jsonl", json.dumps({"messages": messages}))
    store = ConversationStore(f"{first}, {second}")
    assert (store.format, len(store), store.source) == ("llava,ms_swift", 3, f"{first}, {second}")
    assert store.origin(2) == (str(second), 0)
    assert isinstance(store[-1], Conversation) and store[-1].turns[1].text() == "a"
    with pytest.raises(IndexError):
        store[3]
    with pytest.raises(TypeError, match="expected int"):
        store[0:1]


def test_duplicate_ids_are_counted_not_refused(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    store = ConversationStore(write(tmp_path / "a.json", [row(1), row(2), row(1), row(1)]))
    assert (len(store), store.duplicate_ids) == (4, 2)
    assert "2 rows share their id" in caplog.text


def test_paths_start_at_the_image_folder_or_at_the_data_file(tmp_path: Path):
    folder = tmp_path / "images"
    folder.mkdir()
    for place in (tmp_path, folder):
        (place / "a.png").touch()
    mmdu = with_image(0, "/a.png")
    mmdu["conversations"][0]["value"] = "Image1: <ImageHere>\nWhat?"
    path = write(tmp_path / "a.json", [mmdu])
    assert ConversationStore(path)[0].images == (str(tmp_path / "a.png"),)
    assert ConversationStore(path, folder)[0].images == (str(folder / "a.png"),)
    absolute = write(
        tmp_path / "b.json", [with_image(0, str(folder / "a.png")), with_image(1, f"file://{folder}/a.png")]
    )
    assert {row.images for row in ConversationStore(absolute, tmp_path)} == {(str(folder / "a.png"),)}


def test_remote_images_with_permission_are_left_to_the_loader(tmp_path: Path):
    rows = [with_image(0, "https://example.org/a.png"), with_image(1, "s3://bucket/a.png")]
    store = ConversationStore(
        write(tmp_path / "a.json", rows), allow_remote_images=True, check_headers=True, skip_bad_rows=True
    )
    assert store[0].images == ("https://example.org/a.png",)
    assert store.rejects[0]["reason"] == "URL 's3://bucket/a.png': only http and https are fetched"


def read_ids(store: ConversationStore) -> list[str]:
    return ids(store)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_store_travels_into_workers(method: str, tmp_path: Path):
    store = ConversationStore(write(tmp_path / "a.json", [row(number) for number in range(2000)]))
    assert len(pickle.dumps(store)) < 60_000  # 24 bytes a row: offsets, not rows
    if method == "fork":
        with multiprocessing.get_context("fork").Pool(2) as pool:
            answers = pool.map(read_ids, [store, store])
    else:
        answers = [read_ids(pickle.loads(pickle.dumps(store)))]
    assert all(answer == [str(number) for number in range(2000)] for answer in answers)


def test_45000_dialogues_are_checked_fast_and_in_flat_memory(tmp_path: Path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.jpg")
    question = {"from": "user", "value": "Image1: <ImageHere>\nImage2: <ImageHere>\n" + "What is here? " * 8}
    answer = {"from": "assistant", "value": 'It is "farm\\land", 耕地. ' * 12}
    later = {"from": "user", "value": "And where?"}
    turns = [question, answer, later, answer, later, answer]
    path = tmp_path / "big.json"
    with path.open("w", encoding="utf-8") as file:
        for number in range(45_000):
            dialogue = {"id": number, "image": ["/a.jpg", "/a.jpg"], "conversations": turns}
            file.write(("[" if number == 0 else ",\n") + json.dumps(dialogue))
        file.write("]")
    process = psutil.Process()
    before = process.memory_info().rss
    started = time.process_time()
    store = ConversationStore(path, tmp_path)
    seconds = time.process_time() - started
    grown = (process.memory_info().rss - before) / 1e6
    assert (len(store), store.format, store[44_999].id) == (45_000, "mmdu", "44999")
    assert seconds < 60, f"{seconds:.1f} s"
    assert grown < 150, f"{grown:.0f} MB"
