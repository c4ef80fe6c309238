"""Unpacking, converting and the three download scripts, on made-up source folders and stub downloaders."""

import io
import json
import os
import random
import subprocess
import sys
import tarfile
import zipfile
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from src.dataset import prepare
from src.dataset.prepare import _Row, choose, unpack
from src.dataset.store import ConversationStore
from src.errors import InputError, MissingPathError

SCRIPTS = ("prepare_rsvqa.sh", "prepare_mmdu.sh", "download_models.sh")


def picture() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (32, 32), "green").save(buffer, "TIFF")
    return buffer.getvalue()


def write_split(folder: Path, split: str, prefix: str = "LR_split", images: tuple[int, ...] = (4, 9)) -> None:
    """Four presence questions (three say yes) and two counts per image, and a stub."""
    questions: list[dict] = [{"id": 0, "active": False}]
    answers: list[dict] = [{"id": 0, "active": False}]
    for image in images:
        for kind, answer in (("presence", "yes"),) * 3 + (("presence", "no"), ("count", "0"), ("count", "403")):
            number = len(questions)
            text = f"Is there  a road {number}? "
            questions.append({"id": number, "img_id": image, "type": kind, "question": text, "active": True})
            answers.append({"id": number, "question_id": number, "answer": answer, "active": True})
    for name, rows in (("questions", questions), ("answers", answers)):
        (folder / f"{prefix}_{split}_{name}.json").write_text(json.dumps({name: rows}))
    stubs = [{"id": image, "active": True} for image in images]
    (folder / f"{prefix}_{split}_images.json").write_text(json.dumps({"images": stubs}))


def rows_of(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def run_prepare(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    monkeypatch.setattr(sys, "argv", ["prepare", *map(str, arguments)])
    prepare.main()


def test_rsvqa_splits_become_llava_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    source, output = tmp_path / "source", tmp_path / "out"
    source.mkdir()
    for split in ("train", "val", "test", "test_phili"):
        write_split(source, split, "USGS_split")
    with tarfile.open(source / "Images.tar", "w") as tar:
        for image in (4, 9):
            entry = tarfile.TarInfo(f"Data/{image}.tif")
            entry.size = len(picture())
            tar.addfile(entry, io.BytesIO(picture()))
    run_prepare(monkeypatch, "rsvqa", "--source", source, "--output", output)
    assert sorted(path.name for path in output.glob("*.jsonl")) == [
        "test.jsonl",
        "test_phili.jsonl",
        "train.jsonl",
        "val.jsonl",
    ]
    rows = rows_of(output / "train.jsonl")
    assert len(rows) == 12
    assert rows[5] == {
        "id": "6",
        "image": "Data/4.tif",
        "conversations": [
            {"from": "human", "value": "<image>\nIs there  a road 6?"},
            {"from": "gpt", "value": "403"},
        ],
        "question_type": "count",
        "image_id": 4,
    }
    store = ConversationStore(output / "train.jsonl", output, check_headers=True)
    assert (store.format, len(store)) == ("llava", 12)
    out = capsys.readouterr().out
    assert "train.jsonl: 12 of 12 questions, 2 images" in out
    assert "presence           8   majority 'yes' 75.0 %" in out


def test_caps_and_balance_touch_the_training_split_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    source, output = tmp_path, tmp_path / "out"
    for split in ("train", "test"):
        write_split(source, split)
    (source / "Images_LR").mkdir()
    for image in (4, 9):
        (source / "Images_LR" / f"{image}.tif").write_bytes(picture())
    arguments = ("rsvqa", "--source", source, "--output", output)
    run_prepare(monkeypatch, *arguments, "--balance")
    answers = Counter(row["conversations"][1]["value"] for row in rows_of(output / "train.jsonl"))
    assert answers == {"yes": 2, "no": 2, "0": 2, "403": 2}
    assert len(rows_of(output / "test.jsonl")) == 12
    assert (output / "Images_LR").is_symlink()
    run_prepare(monkeypatch, *arguments, "--max_per_image", 3)
    rows = rows_of(output / "train.jsonl")
    assert Counter(row["image_id"] for row in rows) == {4: 3, 9: 3}
    first = (output / "train.jsonl").read_bytes()
    run_prepare(monkeypatch, *arguments, "--max_per_image", 3)
    assert (output / "train.jsonl").read_bytes() == first
    run_prepare(monkeypatch, *arguments, "--max_per_image", 3, "--seed", 1)
    assert (output / "train.jsonl").read_bytes() != first


def test_choose_cuts_only_the_commonest_answer():
    answers = ["yes"] * 70 + ["no"] * 30
    rows = [_Row(index, str(index), "presence", answer) for index, answer in enumerate(answers)]
    rows += [_Row(100 + index, str(index), "count", answer) for index, answer in enumerate("000000112")]
    rows += [_Row(200, "1", "single", "yes")]
    random.Random(0).shuffle(rows)
    kept = choose(rows, 0, True, 0)
    assert kept == sorted(kept)
    by_index = {row.index: (row.kind, row.answer) for row in rows}
    assert Counter(by_index[index] for index in kept) == {
        ("presence", "yes"): 30,
        ("presence", "no"): 30,
        ("count", "0"): 2,
        ("count", "1"): 2,
        ("count", "2"): 1,
        ("single", "yes"): 1,
    }
    assert choose(rows, 0, False, 0) == sorted(row.index for row in rows)


def test_bad_rsvqa_rows_are_refused_or_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write_split(tmp_path, "train", images=(4, 9))
    (tmp_path / "4.tif").write_bytes(picture())
    with pytest.raises(InputError, match="row 6: missing file .*9.tif"):
        run_prepare(monkeypatch, "rsvqa", "--source", tmp_path, "--output", tmp_path)
    run_prepare(monkeypatch, "rsvqa", "--source", tmp_path, "--output", tmp_path, "--skip_bad_rows")
    assert len(rows_of(tmp_path / "train.jsonl")) == 6
    assert len(rows_of(tmp_path / "train.rejects.jsonl")) == 6


def test_archives_are_unpacked_once_and_never_outside(tmp_path: Path):
    source, output = tmp_path / "source", tmp_path / "deep" / "out"
    source.mkdir()
    with zipfile.ZipFile(source / "a.zip", "w") as zipped:
        zipped.writestr("pics/a.txt", "a")
        zipped.writestr("../../escaped.txt", "x")
    unpack(source, output)
    assert (output / "pics" / "a.txt").read_text() == "a"
    assert not (tmp_path / "escaped.txt").exists()
    (output / "pics" / "a.txt").write_text("kept")
    unpack(source, output)
    assert (output / "pics" / "a.txt").read_text() == "kept"
    with tarfile.open(source / "b.tar.gz", "w:gz") as tar:
        tar.addfile(tarfile.TarInfo("../escaped.txt"), io.BytesIO())
    with pytest.raises(InputError, match="b.tar.gz: cannot be unpacked .*outside"):
        unpack(source, output)
    assert not (tmp_path / "deep" / "escaped.txt").exists()


def test_damaged_archives_and_missing_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(MissingPathError, match="set SOURCE_DIR"):
        unpack(tmp_path / "none", tmp_path)
    (tmp_path / "Images.zip").write_text("<html>504 Gateway Time-out</html>")
    with pytest.raises(InputError, match="Images.zip: cannot be unpacked .*delete it and download it again"):
        unpack(tmp_path, tmp_path / "out")
    (tmp_path / "Images.zip").unlink()
    with pytest.raises(MissingPathError, match="no \\*_split_"):
        run_prepare(monkeypatch, "rsvqa", "--source", tmp_path, "--output", tmp_path / "out")
    with pytest.raises(MissingPathError, match="mmdu-45k.json: no such file"):
        run_prepare(monkeypatch, "mmdu", "--source", tmp_path, "--output", tmp_path / "out")


def write_mmdu(folder: Path, name: str, archive: str, inside: str, named: str) -> None:
    """A download of two dialogues; the archive's folder and the one that the rows name may differ."""
    folder.mkdir(parents=True, exist_ok=True)
    turns = [
        {"from": "user", "value": "Image1: <ImageHere>\nWhat is it?"},
        {"from": "assistant", "value": "A field."},
    ]
    rows = [{"id": number, "image": [f"/{named}/{number}.jpg"], "conversations": turns} for number in range(2)]
    (folder / name).write_text(json.dumps(rows))
    buffer = io.BytesIO()
    Image.new("RGB", (32, 32)).save(buffer, "JPEG")
    with zipfile.ZipFile(folder / archive, "w") as zipped:
        for number in range(2):
            zipped.writestr(f"{inside}/{number}.jpg", buffer.getvalue())


@pytest.mark.parametrize("inside", ["mmdu_pics", "mmdu-45k_pics", "deep/pics"])
def test_mmdu_paths_lead_to_files_whatever_the_archive_calls_its_folder(
    inside: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    write_mmdu(tmp_path / "source", "mmdu-45k.json", "mmdu-45k_pics.zip", inside, "mmdu_pics")
    run_prepare(monkeypatch, "mmdu", "--source", tmp_path / "source", "--output", tmp_path / "out")
    store = ConversationStore(tmp_path / "out" / "mmdu-45k.json", tmp_path / "out", check_headers=True)
    assert (store.format, len(store)) == ("mmdu", 2)


def test_mmdu_without_its_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write_mmdu(tmp_path, "benchmark.json", "mmdu_pics.zip", "mmdu_pics", "mmdu_pics")
    (tmp_path / "mmdu_pics.zip").unlink()
    with pytest.raises(MissingPathError, match="mmdu_pics/0.jpg: the first row's picture is in no archive"):
        run_prepare(monkeypatch, "mmdu", "--benchmark", "--source", tmp_path, "--output", tmp_path / "out")


def script(repo: Path, name: str, *arguments: str, **env: object) -> subprocess.CompletedProcess:
    clean = {key: value for key, value in os.environ.items() if key not in ("SOURCE_DIR", "OUTPUT_DIR", "HUB")}
    settings = clean | {"PYTHON": sys.executable} | {key: str(value) for key, value in env.items()}
    command = ["bash", str(repo / "scripts" / name), *arguments]
    return subprocess.run(command, cwd="/", env=settings, capture_output=True, text=True)


def stubs(folder: Path, **programs: str) -> str:
    """A PATH whose programs log their arguments to calls.txt and then run a line of shell."""
    folder.mkdir()
    for name, body in programs.items():
        log = f'printf "%s\\n" "{name} $*" >> "{folder}/calls.txt"'
        (folder / name).write_text(f"#!/usr/bin/env bash\n{log}\n{body}\n")
        (folder / name).chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"


def python_without_validation(folder: Path) -> Path:
    """Python, but ``-m src.dataset.validate`` only prints its arguments: its import of trl takes seconds."""
    program = folder / "python_without_validation"
    body = f'case "$2" in *validate) echo "validate $*" ;; *) exec {sys.executable} "$@" ;; esac'
    program.write_text(f"#!/bin/sh\n{body}\n")
    program.chmod(0o755)
    return program


@pytest.mark.parametrize("name", SCRIPTS)
def test_help_and_wrong_choices(name: str, repo: Path):
    done = script(repo, name, "--help")
    assert done.returncode == 0 and "Environment:" in done.stdout and "set -euo" not in done.stdout
    variable = "SUBSET" if name == "prepare_rsvqa.sh" else "HUB"
    refused = script(repo, name, **{variable: "other", "OUTPUT_DIR": "/none"})
    assert refused.returncode == 2 and f"{variable}=other: expected" in refused.stderr
    assert len((repo / "scripts" / name).read_text().splitlines()) <= 60


def test_prepare_rsvqa_from_a_folder_of_real_files(repo: Path, test_data: Path, tmp_path: Path):
    real = test_data / "vqa" / "rsvqa_lr"
    source = tmp_path / "source"
    source.mkdir()
    for kind in ("questions", "answers"):
        (source / f"LR_split_train_{kind}.json").write_bytes((real / f"{kind}_9_for_images.json").read_bytes())
    with zipfile.ZipFile(source / "Images_LR.zip", "w") as zipped:
        for image in (real / "Images_LR").iterdir():
            zipped.write(image, f"Images_LR/{image.name}")
    python = python_without_validation(tmp_path)
    done = script(repo, "prepare_rsvqa.sh", SOURCE_DIR=source, OUTPUT_DIR=tmp_path / "out", PYTHON=python)
    assert done.returncode == 0, done.stderr
    rows = rows_of(tmp_path / "out" / "train.jsonl")
    assert len(rows) == 9
    assert rows[0]["image"] == "Images_LR/12.tif" and rows[0]["conversations"][1]["value"] == "urban"
    assert len(ConversationStore(tmp_path / "out" / "train.jsonl", tmp_path / "out", check_headers=True)) == 9
    assert done.stdout.splitlines()[-1].startswith("ready: DATA_PATH=")


CURL = """
while [ $# -gt 0 ]; do case "$1" in -o) out=$2; shift ;; http*) url=$1 ;; esac; shift; done
name=${url##*/files/}; name=${name%\\?download=1}
[ -f "$SERVED/$name" ] || exit 22
cp "$SERVED/$name" "$out"
"""


def test_prepare_rsvqa_downloads_and_resumes(repo: Path, tmp_path: Path):
    served, output = tmp_path / "served", tmp_path / "out"
    served.mkdir()
    for split in ("train", "val", "test"):
        write_split(served, split)
    path = stubs(tmp_path / "bin", curl=CURL)
    env = {"PATH": path, "SERVED": served, "OUTPUT_DIR": output, "ZENODO_URL": "http://mirror", "MAX_PER_IMAGE": 2}
    broken = script(repo, "prepare_rsvqa.sh", **env)
    assert broken.returncode == 2
    assert "Images_LR.zip could not be downloaded from http://mirror: run again to continue" in broken.stderr
    with zipfile.ZipFile(served / "Images_LR.zip", "w") as zipped:
        for image in (4, 9):
            zipped.writestr(f"Images_LR/{image}.tif", picture())
    env["PYTHON"] = python_without_validation(tmp_path)
    done = script(repo, "prepare_rsvqa.sh", BALANCE=1, SKIP_BAD_ROWS=1, **env)
    assert done.returncode == 0, done.stderr
    calls = (tmp_path / "bin" / "calls.txt").read_text().splitlines()
    assert len(calls) == 9 + 1 + 1  # nine small files, the missing archive, the archive
    assert calls[0].endswith("http://mirror/records/6344334/files/LR_split_train_questions.json?download=1")
    assert "-C -" in calls[0]
    assert sum(f"--data_path {output}/{split}.jsonl" in done.stdout for split in ("train", "val", "test")) == 3
    assert len(rows_of(output / "train.jsonl")) <= 4 and len(rows_of(output / "test.jsonl")) == 12


@pytest.mark.parametrize(("hub", "program", "benchmark"), [("huggingface", "hf", 0), ("modelscope", "modelscope", 1)])
def test_prepare_mmdu(hub: str, program: str, benchmark: int, repo: Path, tmp_path: Path):
    name, archive = ("benchmark.json", "mmdu_pics.zip") if benchmark else ("mmdu-45k.json", "mmdu-45k_pics.zip")
    write_mmdu(tmp_path / "served", name, archive, archive[:-4], "mmdu_pics")
    fetch = f'mkdir -p "{tmp_path}/out/download" && cp "{tmp_path}/served/"* "{tmp_path}/out/download"'
    env = {"PATH": stubs(tmp_path / "bin", **{program: fetch}), "HUB": hub, "BENCHMARK": benchmark}
    if benchmark:
        env["PYTHON"] = python_without_validation(tmp_path)
    done = script(repo, "prepare_mmdu.sh", OUTPUT_DIR=tmp_path / "out", **env)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "bin" / "calls.txt").read_text().split() == (
        f"{program} download laolao77/MMDU {name} {archive} "
        f"--repo-type dataset --local-dir {tmp_path}/out/download".split()
    )
    assert ("--data_format mmdu" if benchmark else "usable_rows     2") in done.stdout
    assert f"DATA_PATH={tmp_path}/out/{name}" in done.stdout


@pytest.mark.parametrize(("hub", "program"), [("huggingface", "hf"), ("modelscope", "modelscope")])
def test_download_models(hub: str, program: str, repo: Path, tmp_path: Path):
    target = tmp_path / "models" / "m"
    path = stubs(tmp_path / "bin", **{program: 'mkdir -p "${@: -1}"; touch "${@: -1}/config.json"'})
    done = script(repo, "download_models.sh", HUB=hub, PATH=path, MODEL_DIR=target, MODEL="Qwen/Qwen2-VL-2B-Instruct")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "bin" / "calls.txt").read_text() == (
        f"{program} download Qwen/Qwen2-VL-2B-Instruct --local-dir {target}\n"
    )
    assert f"ready: MODEL_NAME={target}" in done.stdout


@pytest.mark.parametrize(("body", "reason"), [("exit 1", "could not be downloaded"), ("true", "has no config.json")])
def test_a_failed_model_download_says_so(body: str, reason: str, repo: Path, tmp_path: Path):
    path = stubs(tmp_path / "bin", hf=body)
    done = script(repo, "download_models.sh", PATH=path, MODEL_DIR=tmp_path / "m")
    assert done.returncode == 2 and reason in done.stderr
