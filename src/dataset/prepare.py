"""Turn downloaded archives into folders that training reads; called by scripts/prepare_*.sh.

    python -m src.dataset.prepare rsvqa --source data/rsvqa_lr/download --output data/rsvqa_lr
    python -m src.dataset.prepare mmdu --source data/mmdu/download --output data/mmdu

Archives of the source are unpacked into the output once; image folders that
are already unpacked are linked. RSVQA's splits become LLaVA rows in
train.jsonl, val.jsonl, ...; MMDU's JSON is linked as it is.
"""

import argparse
import json
import os
import random
import re
import sys
import tarfile
import zipfile
import zlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from src.dataset.converters.common import image_paths
from src.dataset.records import index_records
from src.dataset.store import ConversationStore
from src.errors import InputError, MissingPathError, run_command

_SPLIT = re.compile(r"split_(train|val|test_phili|test)_questions[^/]*\.json$")
_ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz")


@dataclass(frozen=True)
class _Row:
    """What choosing rows needs to know of one."""

    index: int
    image: str
    kind: str
    answer: str


def unpack(source: Path, output: Path) -> None:
    """Bring the images of a download into the output folder.

    Archives are extracted (members that would leave the folder are refused or
    renamed by the standard library) and marked as done; folders are linked.

    Raises:
        MissingPathError: no such source folder.
        InputError: a damaged archive.
    """
    if not source.is_dir():
        raise MissingPathError(f"{source}: no such folder; set SOURCE_DIR to where the downloaded files are")
    output.mkdir(parents=True, exist_ok=True)
    for entry in sorted(source.iterdir()):
        if entry.is_dir():
            if source.resolve() != output.resolve():
                _link(entry, output / entry.name)
        elif entry.name.endswith(_ARCHIVES):
            done = output / f".{entry.name}.{entry.stat().st_size}.unpacked"
            if not done.exists():
                _extract(entry, output)
                done.touch()


def _extract(archive: Path, output: Path) -> None:
    progress = {"desc": f"unpacking {archive.name}", "unit": " files"}
    try:
        if archive.suffix == ".zip":
            with zipfile.ZipFile(archive) as zipped:
                for member in tqdm(zipped.infolist(), **progress):
                    zipped.extract(member, output)
        else:
            with tarfile.open(archive) as tar:
                for entry in tqdm(tar, **progress):
                    tar.extract(entry, output, filter="data")
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError) as error:
        raise InputError(f"{archive}: cannot be unpacked ({error}); delete it and download it again") from error


def _link(target: Path, link: Path) -> None:
    if link.is_symlink():
        link.unlink()
    if not link.exists():
        link.symlink_to(target.resolve())


def choose(rows: Sequence[_Row], max_per_image: int, balance: bool, seed: int) -> list[int]:
    """Pick the training rows.

    RSVQA repeats an image about a hundred times, and its answers are skewed
    (76 % of LR's presence questions say yes), which a policy learns to exploit.

    Args:
        rows: all rows of the split.
        max_per_image: at most so many rows of one image, chosen at random; 0 keeps all.
        balance: within each question type, cut the most frequent answer to the count of the second.
        seed: of the random choice.

    Returns:
        Indices of the chosen rows in ascending order.
    """
    rng = random.Random(seed)
    kept = list(rows)
    if max_per_image:
        of_image = defaultdict(list)
        for row in kept:
            of_image[row.image].append(row)
        kept = [row for group in of_image.values() for row in rng.sample(group, min(max_per_image, len(group)))]
    if balance:
        of_answer = defaultdict(list)
        for row in kept:
            of_answer[row.kind, row.answer].append(row)
        for kind in {row.kind for row in kept}:
            groups = sorted((group for key, group in of_answer.items() if key[0] == kind), key=len)
            if len(groups) > 1:
                groups[-1][:] = rng.sample(groups[-1], len(groups[-2]))
        kept = [row for group in of_answer.values() for row in group]
    return sorted(row.index for row in kept)


def _llava_row(store: ConversationStore, index: int, folder: Path) -> dict[str, Any]:
    conversation = store[index]
    question, answer = (turn.text() for turn in conversation.turns)
    return {
        "id": conversation.id,
        "image": os.path.relpath(conversation.images[0], folder),
        "conversations": [
            {"from": "human", "value": f"<image>\n{question}"},
            {"from": "gpt", "value": answer},
        ],
        **{key: conversation.meta[key] for key in ("question_type", "image_id")},
    }


def _summary(split: str, rows: Sequence[_Row], total: int) -> str:
    lines = [f"{split}.jsonl: {len(rows)} of {total} questions, {len({row.image for row in rows})} images"]
    for kind, count in Counter(row.kind for row in rows).most_common():
        answer, most = Counter(row.answer for row in rows if row.kind == kind).most_common(1)[0]
        lines.append(f"  {kind:<12}{count:>8}   majority {answer!r} {100 * most / count:.1f} %")
    return "\n".join(lines)


def prepare_rsvqa(args: argparse.Namespace) -> None:
    """Convert every split of RSVQA's official files to OUTPUT/<split>.jsonl.

    Raises:
        MissingPathError: no split's questions file in the source.
    """
    source, output = Path(args.source), Path(args.output)
    unpack(source, output)
    splits = {match.group(1): path for path in sorted(source.iterdir()) if (match := _SPLIT.search(path.name))}
    if not splits:
        raise MissingPathError(f"{source}: no *_split_<train|val|test>_questions.json; is this RSVQA's folder?")
    for split, path in splits.items():
        rejects = output / f"{split}.rejects.jsonl" if args.skip_bad_rows else None
        store = ConversationStore(path, output, "rsvqa", args.skip_bad_rows, rejects)
        rows = []
        for index, found in enumerate(store):
            rows.append(_Row(index, found.images[0], str(found.meta["question_type"]), found.turns[-1].text()))
        keep = list(range(len(rows)))
        if split == "train":  # held-out splits stay as published
            keep = choose(rows, args.max_per_image, args.balance, args.seed)
        partial = output / f"{split}.jsonl.partial"
        with partial.open("w", encoding="utf-8") as file:
            for index in keep:
                file.write(json.dumps(_llava_row(store, index, output), ensure_ascii=False) + "\n")
        partial.replace(output / f"{split}.jsonl")
        sys.stdout.write(_summary(split, [rows[index] for index in keep], len(rows)) + "\n")


def prepare_mmdu(args: argparse.Namespace) -> None:
    """Unpack MMDU's pictures and link its JSON, so that the JSON's image paths lead to files.

    Raises:
        MissingPathError: the JSON is not in the source, or no picture of its first row was unpacked.
    """
    source, output = Path(args.source), Path(args.output)
    data = source / ("benchmark.json" if args.benchmark else "mmdu-45k.json")
    if not data.is_file():
        raise MissingPathError(f"{data}: no such file; expected MMDU's download in {source}")
    unpack(source, output)
    if source.resolve() != output.resolve():
        _link(data, output / data.name)
    first = image_paths(index_records(data).read(0))[0].lstrip("/")
    if not (output / first).is_file():
        # The archive's folder is not always the one that the rows name.
        found = next(output.rglob(Path(first).name), None)
        if found is None:
            raise MissingPathError(f"{output / first}: the first row's picture is in no archive or folder of {source}")
        (output / first).parent.parent.mkdir(parents=True, exist_ok=True)
        _link(found.parent, (output / first).parent)
    sys.stdout.write(f"{data.name}: images in {(output / first).parent}\n")


def main() -> None:
    """Prepare one data set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    rsvqa = commands.add_parser("rsvqa", help="RSVQA LR, HR or xBEN")
    rsvqa.add_argument("--max_per_image", type=int, default=0, help="cap of training questions per image; 0 none")
    rsvqa.add_argument("--balance", action="store_true", help="cut each type's top answer to the second's count")
    rsvqa.add_argument("--seed", type=int, default=0, help="of the choice of rows")
    rsvqa.add_argument("--skip_bad_rows", action="store_true", help="write bad rows to <split>.rejects.jsonl")
    rsvqa.set_defaults(run=prepare_rsvqa)
    mmdu = commands.add_parser("mmdu", help="MMDU-45k or the MMDU benchmark")
    mmdu.add_argument("--benchmark", action="store_true", help="benchmark.json instead of mmdu-45k.json")
    mmdu.set_defaults(run=prepare_mmdu)
    for command in (rsvqa, mmdu):
        command.add_argument("--source", required=True, help="folder of the downloaded files")
        command.add_argument("--output", required=True, help="folder to fill")
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    run_command(main)
