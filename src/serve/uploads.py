"""Files from a browser: pictures and videos for the chat, data for the asker's own workspace.

    media = take_media(store, session, path)           # PNG frames in the session
    result = take_data(store, session, [path])         # Added, or a Question to ask back
    result = answer_question(store, session, question.upload, {"date": "2024-09-25"})

Nothing of a file is believed: it is copied alone into the session, decoded in a
child process with limits (``upload_jobs``), and what it does not tell (date,
sensor, bands) is asked for. Errors carry what to tell the asker in both languages.
"""

import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from PIL import Image

from src.errors import InputError, LandUseError
from src.geo.workspace import Workspace
from src.serve.sessions import Session, SessionStore
from src.serve.storage import StorageError, safe_name
from src.serve.upload_jobs import JobError, JobLimits, run_job
from src.serve.upload_texts import ASKED, FALLBACK, FLAGS, REASONS, TEXT, Ask, Say

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".jp2")
VIDEOS = (".mp4", ".mov", ".m4v", ".webm", ".mkv", ".avi")
RASTERS, VECTORS = (".tif", ".tiff", ".jp2"), (".gpkg", ".geojson", ".json", ".kml", ".shp")
DATA = (*RASTERS, *VECTORS, ".zip", ".tar", ".tgz", ".gz", ".bz2", ".xlsx")
_SHAPE_PARTS = (".shp", ".shx", ".dbf", ".prj", ".cpg")
PICTURE_BYTES, VIDEO_BYTES, DATA_BYTES = 256 << 20, 1 << 30, 4 << 30
_PICTURE = JobLimits(seconds=20.0, memory_bytes=6 << 30, file_bytes=256 << 20)
_VIDEO = JobLimits(seconds=60.0, memory_bytes=6 << 30, file_bytes=256 << 20)
_DATA = JobLimits(seconds=900.0)


class UploadError(LandUseError):
    """A file cannot be used.

    Args:
        say: what to tell the asker, "zh" and "en".
    """

    exit_code = 1

    def __init__(self, say: Say) -> None:
        super().__init__(say["en"])
        self.say = say


@dataclass(frozen=True)
class Media:
    """A picture or video that the chat can look at.

    Args:
        kind: "image" or "video".
        name: as the asker knows it.
        frames: PNG files in the session: one of a picture, some of a video.
        say: what was done with it.
        fps: frames per second of a video, of those kept.
    """

    kind: Literal["image", "video"]
    name: str
    frames: tuple[Path, ...]
    say: Say
    fps: float = 1.0


@dataclass(frozen=True)
class Question:
    """What a data file does not tell.

    Args:
        upload: hand this back to ``answer_question``.
        name: of the file, as the asker knows it.
        asks: what is missing; each with choices, or free text.
        say: the question in words.
    """

    upload: str
    name: str
    asks: tuple[Ask, ...]
    say: Say


@dataclass(frozen=True)
class Added:
    """What was added to the session's own workspace.

    Args:
        name: of the file.
        kind: "scene", "zone", "labels" or "samples".
        paths: inside the workspace.
        say: what was understood, so that a wrong reading is seen.
    """

    name: str
    kind: str
    paths: tuple[str, ...]
    say: Say


def take_media(store: SessionStore, session: Session, path: Path, name: str | None = None) -> Media:
    """Take a picture or video for the chat.

    Args:
        store: checks room.
        session: whose it becomes.
        path: as the browser sent it; stays where it is.
        name: as the asker knows it; default the file's.

    Raises:
        UploadError: no picture or video, damaged, too large, or no room.
    """
    shown = name or path.name
    suffix = Path(shown).suffix.lower()
    video = suffix in VIDEOS
    if not video and suffix not in PICTURES:
        raise UploadError(_say("media_kind", name=shown, suffixes=" ".join((*PICTURES, *VIDEOS))))
    _check_size(path, shown, VIDEO_BYTES if video else PICTURE_BYTES)
    source = _put(store, session, path, shown)
    fps = 1.0
    try:
        if video:
            result = run_job("video", _VIDEO, path=str(source), folder=str(source.parent))
            frames = tuple(sorted(source.parent.glob("frame_*.png")))
            fps = len(frames) / (result["seconds"] or 1.0)
            say = _say("video", name=shown, seconds=f"{result['seconds']:.0f}", n=len(frames))
        else:
            target = source.with_name("view.png")
            result = run_job("picture", _PICTURE, path=str(source), target=str(target))
            frames = (target,)
            say = _say("picture", name=shown, width=result["width"], height=result["height"])
    except JobError as error:
        shutil.rmtree(source.parent, ignore_errors=True)
        raise UploadError(explain(error, shown)) from error
    source.unlink(missing_ok=True)
    return Media("video" if video else "image", shown, frames, say, fps)


def pictures_of(media: Media) -> list[Image.Image]:
    """The frames as RGB pictures: files that this program wrote itself."""
    return [Image.open(frame).convert("RGB") for frame in media.frames]


def take_data(
    store: SessionStore,
    session: Session,
    paths: Sequence[Path],
    base: Workspace | None = None,
    names: Sequence[str] | None = None,
) -> list[Added | Question | UploadError]:
    """Take scenes, zones, labels or samples into the session's own workspace.

    Args:
        store: checks room.
        session: whose they become.
        paths: as the browser sent them; the parts of a Shapefile count as one.
        base: county that a zone is meant for while the session has no scene of its own.
        names: as the asker knows them; default the files'.

    Returns:
        One entry per file (or Shapefile): added, a question, or why it cannot be used.
    """
    shown = list(names) if names is not None else [path.name for path in paths]
    results: list[Added | Question | UploadError] = []
    for group in _groups(shown):
        try:
            upload = _receive(store, session, [paths[index] for index in group], [shown[index] for index in group])
            results.append(_add(store, session, upload, {}, base))
        except UploadError as error:
            results.append(error)
    return results


def answer_question(
    store: SessionStore, session: Session, upload: str, answers: Mapping[str, str], base: Workspace | None = None
) -> Added | Question:
    """Go on with a file that a question was asked about.

    Args:
        store: checks room.
        session: the same as before.
        upload: of the question.
        answers: by field of the asks, all answers so far.
        base: see ``take_data``.

    Raises:
        UploadError: it cannot be used after all, or is no longer there.
    """
    try:
        path = session.path(upload)
    except InputError as error:
        raise UploadError(_say("gone")) from error
    if not path.is_file() or not path.is_relative_to(session.uploads.resolve()):
        raise UploadError(_say("gone"))
    return _add(store, session, path, answers, base)


def explain(error: JobError, name: str) -> Say:
    """What to tell the asker about a job that did not end well."""
    if error.kind != "refused":
        return _say(error.kind, name=name)
    detail = error.detail
    for pattern, say in REASONS:
        if re.search(pattern, detail):
            return {lang: f"{name}：{text}" if lang == "zh" else f"{name}: {text}" for lang, text in say.items()}
    return {lang: text.format(name=name, detail=_plain(detail)) for lang, text in FALLBACK.items()}


def _add(
    store: SessionStore, session: Session, path: Path, answers: Mapping[str, str], base: Workspace | None
) -> Added | Question:
    zone_like = path.suffix.lower() in VECTORS or answers.get("kind") == "zone"
    own = store.own_workspace(session)
    workspace = store.begin_workspace(session, base if zone_like and own is None else None)
    try:
        result = _add_or_ask(workspace, session, path, dict(answers))
    finally:
        if own is None and not _holds_own(workspace):
            shutil.rmtree(workspace.root, ignore_errors=True)
    if isinstance(result, Added):
        if result.kind == "scene":
            store.drop_links(workspace)
        # The workspace has it in its own form now; the asker has the original.
        shutil.rmtree(path.parent, ignore_errors=True)
    return result


def _add_or_ask(workspace: Workspace, session: Session, path: Path, answers: dict[str, str]) -> Added | Question:
    given, options = _options(answers, path.name)
    try:
        result = run_job("data", _DATA, root=str(workspace.root), path=str(path), given=given, options=options)
    except JobError as error:
        field = _asked_field(error, answers)
        if field is None:
            shutil.rmtree(path.parent, ignore_errors=True)
            raise UploadError(explain(error, path.name)) from error
        asks = tuple(ASKED[one] for one in _together(field, answers))
        upload = str(path.relative_to(session.root.resolve()))
        return Question(upload, path.name, asks, _say("question", name=path.name, what=_listing(asks)))
    return _told(path.name, result)


def _asked_field(error: JobError, answers: Mapping[str, str]) -> str | None:
    """The field of ASKED that a refusal asks for; None where it asks for nothing, or for what was answered."""
    if error.kind != "refused":
        return None
    for pattern, field in FLAGS:
        if re.search(pattern, error.detail):
            return field if field not in answers else None
    return None


def _together(field: str, answers: Mapping[str, str]) -> list[str]:
    """A file that lacks its sensor mostly lacks its date too, and the other way round: asked at once."""
    pair = {"date": ["date"], "sensor": ["sensor", "date"]}.get(field, [field])
    return [one for one in pair if one not in answers]


def _options(answers: Mapping[str, str], name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Arguments of ``Given`` and ``Options`` from the asker's answers."""
    given: dict[str, Any] = {}
    options: dict[str, Any] = {}
    for field, text in answers.items():
        value = text.strip()
        if field not in ASKED:
            raise UploadError(_say("bad_answer", name=name, value=field))
        if not value:
            continue
        if field == "numbers":
            given |= _numbers(value, name)
        elif field == "bands":
            given["bands"] = [role.strip() for role in re.split(r"[,，\s]+", value) if role.strip()]
        elif field in ("kind", "zone_type", "label_column", "crosswalk"):
            options[field] = value
        else:
            given[field] = value
    return given, options


def _numbers(value: str, name: str) -> dict[str, Any]:
    """Level DN, or scale and offset written as "0.0001, -0.1"."""
    if value.upper() == "DN":
        return {"level": "DN"}
    try:
        scale, *offset = (float(part) for part in re.split(r"[,，;\s]+", value))
    except ValueError as error:
        raise UploadError(_say("bad_answer", name=name, value=value)) from error
    return {"scale": scale, "offset": offset[0] if offset else 0.0}


def _told(name: str, result: dict[str, Any]) -> Added:
    added = tuple(str(path) for path in result["added"])
    kind = {"scenes": "scene", "zones": "zone"}.get(added[0].split("/")[0], added[0].split("/")[0])
    scene = result["scene"]
    if scene is None:
        return Added(name, kind, added, _say(f"added_{kind}", name=name))
    facts = {"date": scene["date"], "sensor": scene["sensor"], "level": scene["level"]}
    return Added(name, kind, added, _say("added_scene", name=name, clear=f"{scene['clear_share']:.0%}", **facts))


def _holds_own(workspace: Workspace) -> bool:
    """Whether something of the asker's own is in the workspace, beside links to a county."""
    return any(
        not path.is_symlink() and not path.name.startswith(".")
        for kind in ("scenes", "zones", "labels", "samples")
        for path in (workspace.root / kind).iterdir()
    )


def _receive(store: SessionStore, session: Session, paths: Sequence[Path], names: Sequence[str]) -> Path:
    """Copy a file (or the parts of a Shapefile) into the session; returns the one to add."""
    for path, name in zip(paths, names, strict=True):
        if not name.lower().endswith((*DATA, *_SHAPE_PARTS)):
            raise UploadError(_say("data_kind", name=name, suffixes=" ".join(DATA)))
        _check_size(path, name, DATA_BYTES)
    main = next((index for index, name in enumerate(names) if name.lower().endswith(".shp")), 0)
    if Path(names[main]).suffix.lower() in _SHAPE_PARTS[1:]:
        raise UploadError(_say("shape_parts", name=names[main]))
    target = _put(store, session, paths[main], names[main])
    for index, path in enumerate(paths):
        if index != main:
            part = _put(store, session, path, names[index])
            # Under the stem of the .shp, whatever the case and place of the others.
            shutil.move(part, target.with_suffix(Path(names[index]).suffix.lower()))
            part.parent.rmdir()
    return target


def _groups(names: Sequence[str]) -> list[list[int]]:
    """Indices of files that belong together: the parts of one Shapefile, else each file by itself."""
    groups: dict[str, list[int]] = {}
    for index, name in enumerate(names):
        shape = Path(name).suffix.lower() in _SHAPE_PARTS
        groups.setdefault(Path(name).stem.lower() if shape else f"\x00{index}", []).append(index)
    return list(groups.values())


def _check_size(path: Path, name: str, most: int) -> None:
    try:
        size = path.stat().st_size
    except OSError as error:
        raise UploadError(_say("gone")) from error
    if size == 0:
        raise UploadError(_say("empty", name=name))
    if size > most:
        raise UploadError(_say("large", name=name, limit=f"{most >> 20} MB"))


def _put(store: SessionStore, session: Session, path: Path, name: str) -> Path:
    try:
        return store.put(session, path, safe_name(name))
    except StorageError as error:
        raise UploadError(error.say) from error


def _plain(detail: str) -> str:
    """A message without paths of this machine and without command-line flags."""
    text = re.sub(r"(/[^\s:;,'\"]+)+/", "", detail)
    return re.sub(r"--([a-z-]+)", r"\1", text)[:300]


def _listing(asks: Sequence[Ask]) -> dict[str, str]:
    return {"zh": "、".join(ask.say["zh"] for ask in asks), "en": ", ".join(ask.say["en"] for ask in asks)}


def _say(key: str, **values: Any) -> Say:
    """A text of TEXT in both languages; a value that is a pair of languages fills each with its own."""
    return {
        lang: text.format(**{k: v[lang] if isinstance(v, dict) else v for k, v in values.items()})
        for lang, text in TEXT[key].items()
    }
