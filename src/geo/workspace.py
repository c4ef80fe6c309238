"""A county's data: scenes, zones, labels and reference samples in one folder.

    python -m src.geo.workspace init DIR --name 盐亭县 --code 510723
    python -m src.geo.workspace add DIR S2A_MSIL2A_20240925T....SAFE.zip
    python -m src.geo.workspace add DIR DLTB.gpkg --date 2023-12-31
    python -m src.geo.workspace status DIR --lang zh

Layout: workspace.yaml (flat "key: value" lines), scenes/<id>/{bands.tif,
mask.tif, scene.json}, zones/<name>.gpkg, labels/<name>.{tif,gpkg} with
<name>.json, samples/<name>.xlsx, outputs/, cache/. What is added is copied in
one form; the originals stay as they are.
"""

import json
import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from src.errors import InputError, MissingPathError, run_command
from src.geo.blocks import Runner
from src.geo.label_store import LabelRecord, add_raster_labels, add_vector_labels, known_column, read_label_record
from src.geo.raster import atomic_path, read_grid
from src.geo.scene import Scene, open_scene
from src.geo.scenes.ingest import ingest, sha256_of
from src.geo.scenes.product import Given
from src.geo.scenes.products import find_product
from src.geo.untrusted import check_path, check_raster, extract_archive, is_archive
from src.geo.vector import read_vector, write_vector
from src.geo.zones import read_zone, recognise

KINDS = ("scene", "zone", "labels", "samples")
_FOLDERS = ("scenes", "zones", "labels", "samples", "outputs", "cache")
_VECTORS = (".gpkg", ".shp", ".geojson", ".json", ".kml")
_VECTOR_MEMBERS = (".gpkg", ".geojson", ".shp", ".shx", ".dbf", ".prj", ".cpg")
# Beside a sheet of samples lie the design it was drawn by and its points.
_SAMPLE_COMPANIONS = (".design.json", ".gpkg")


@dataclass(frozen=True)
class Options:
    """What the user says about a file to add; ``given`` holds what concerns scenes."""

    given: Given = Given()
    kind: str | None = None
    name: str | None = None
    label_column: str | None = None
    crosswalk: str | None = None
    zone_type: str | None = None


@dataclass(frozen=True)
class Workspace:
    """A workspace on disk; cheap to make, reads its folders at each call.

    Args:
        root: folder with workspace.yaml.
        name: of the county.
        code: six-digit administrative code, "" where unknown.
        as_of: day that counts as today, ISO; None for the real today.
    """

    root: Path
    name: str = ""
    code: str = ""
    as_of: str | None = None

    @property
    def cache(self) -> Path:
        """Folder for what can be made again."""
        return self.root / "cache"

    @property
    def outputs(self) -> Path:
        """Folder for results."""
        return self.root / "outputs"

    def scenes(self) -> tuple[Scene, ...]:
        """All finished scenes, by date, then id."""
        found = [open_scene(path.parent) for path in (self.root / "scenes").glob("[!.]*/scene.json")]
        return tuple(sorted(found, key=lambda scene: (scene.record.date, scene.record.id)))

    def scene(self, day: str, sensor: str | None = None) -> Scene:
        """The scene of a date with the largest clear share.

        Raises:
            InputError: there is none; the dates that exist are told.
        """
        found = [one for one in self.scenes() if one.record.date == day and sensor in (None, one.record.sensor)]
        if not found:
            dates = ", ".join(sorted({one.record.date for one in self.scenes()})) or "none"
            raise InputError(f"{self.root}: has no scene of {day}{f' by {sensor}' if sensor else ''}; dates: {dates}")
        return max(found, key=lambda one: one.record.clear_share)

    def zones(self) -> dict[str, Path]:
        """Zone layers by name; read them with ``zones.read_zone`` or ``vector.read_vector``."""
        return {path.stem: path for path in sorted((self.root / "zones").glob("*.gpkg"))}

    def labels(self) -> tuple[LabelRecord, ...]:
        """Label layers by name."""
        return tuple(read_label_record(path) for path in sorted((self.root / "labels").glob("*.json")))

    def samples(self) -> dict[str, Path]:
        """Sheets of reference samples by name."""
        return {path.stem: path for path in sorted((self.root / "samples").glob("*.xlsx"))}


def init_workspace(root: Path, *, name: str = "", code: str = "", as_of: str | None = None) -> Workspace:
    """Make an empty workspace.

    Args:
        root: folder, made if missing; must not hold a workspace.
        name: of the county.
        code: six-digit administrative code.
        as_of: day that counts as today, ISO.

    Raises:
        InputError: a workspace is there already, or a value cannot be used.
    """
    if (root / "workspace.yaml").exists():
        raise InputError(f"{root}: is a workspace already; choose another folder, or add to it")
    if code and not re.fullmatch(r"\d{6}", code):
        raise InputError(f"--code {code}: expected the six digits of a county, such as 510723")
    workspace = Workspace(root, name, code, _check_date(as_of))
    for folder in _FOLDERS:
        (root / folder).mkdir(parents=True, exist_ok=True)
    _save(workspace)
    return workspace


def open_workspace(root: Path) -> Workspace:
    """A workspace from its folder.

    Raises:
        MissingPathError: no workspace.yaml there.
        InputError: a line of it is not "key: value".
    """
    path = root / "workspace.yaml"
    if not path.is_file():
        raise MissingPathError(f"{root}: has no workspace.yaml; make one with python -m src.geo.workspace init {root}")
    values: dict[str, str] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        text = line.strip()
        if text and not text.startswith("#"):
            key, colon, value = (part.strip() for part in text.partition(":"))
            if not colon:
                raise InputError(f"{path}: line {text!r} is not of the form 'key: value'")
            values[key] = _unquoted(value)
    return Workspace(root, values.get("name", ""), values.get("code", ""), _check_date(values.get("as_of") or None))


def add(workspace: Workspace, path: Path, options: Options, runner: Runner | None = None) -> list[str]:
    """Add a file, folder or archive.

    Args:
        workspace: where to.
        path: what; a folder with county.json (a simulated county) is added whole.
        options: what the user says about it.
        runner: for scenes; default one thread per core.

    Returns:
        What was added, as paths inside the workspace.

    Raises:
        LandUseError: what cannot be used, with the reason and what to do; nothing of that file is added.
    """
    if not path.exists():
        raise MissingPathError(f"{path}: no such file or folder")
    if options.kind is not None and options.kind not in KINDS:
        raise InputError(f"--as {options.kind}: expected one of {', '.join(KINDS)}")
    if path.is_dir() and (path / "county.json").is_file():
        return _add_county(workspace, path, runner)
    with _unpacked(workspace, path) as source:
        kind = options.kind or _detect_kind(source)
        if kind == "scene":
            added = _add_scene(workspace, source, options, runner)
        elif kind == "zone":
            added = _add_zone(workspace, source, options)
        elif kind == "labels":
            added = _add_labels(workspace, source, path, options)
        else:
            added = _add_samples(workspace, source, options)
    return [str(added.relative_to(workspace.root))]


@contextmanager
def _scratch(workspace: Workspace) -> Iterator[Path]:
    workspace.cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=workspace.cache, prefix="add-") as folder:
        yield Path(folder)


@contextmanager
def _unpacked(workspace: Workspace, path: Path) -> Iterator[Path]:
    """The file itself, or the vector layer inside an archive; archives of scenes stay as they are."""
    if path.is_dir() or not is_archive(path):
        yield path
        return
    with _scratch(workspace) as folder:
        files = extract_archive(path, folder, lambda name: name.lower().endswith(_VECTOR_MEMBERS))
        layers = [file for file in files if file.suffix.lower() in _VECTORS[:3]]
        if len(layers) > 1:
            raise InputError(f"{path.name}: holds {len(layers)} vector layers; unpack it and add them one by one")
        yield layers[0] if layers else path


def _detect_kind(path: Path) -> str:
    suffix = path.suffix.lower()
    if suffix == ".xlsx":
        return "samples"
    if suffix in _VECTORS and not path.name.upper().endswith("_MTL.JSON"):
        return _detect_vector(path)
    return "labels" if path.is_file() and _is_label_raster(path) else "scene"


def _detect_vector(path: Path) -> str:
    features = read_vector(path)
    if known_column(features):
        return "labels"
    kind = recognise([path.stem], [str(column) for column in features.columns])
    if kind == "parcels":
        return "labels"
    if kind is None and "zone_type" not in features.columns:
        raise InputError(
            f"{path.name}: neither its name nor its columns tell what it is; give --as zone (with --zone-type) "
            "or --as labels (with --label-column and --crosswalk)"
        )
    return "zone"


def _is_label_raster(path: Path) -> bool:
    """One band whose own name says that it holds this project's classes."""
    if is_archive(path) or not path.name.lower().endswith((".tif", ".tiff")):
        return False
    _, count, _ = check_raster(path)
    return count == 1 and read_grid(path)[1] == ("land_class",)


def _add_scene(workspace: Workspace, path: Path, options: Options, runner: Runner | None) -> Path:
    with _scratch(workspace) as folder:
        product = find_product(path, options.given, folder)
        return ingest(product, workspace.root / "scenes", runner)


def _add_zone(workspace: Workspace, path: Path, options: Options) -> Path:
    check_path(path)
    zones = read_zone(path, zone_type=options.zone_type, name=options.name)
    target = workspace.root / "zones" / f"{_file_name(options.name or path.stem)}.gpkg"
    write_vector(target, zones)
    return target


def _add_labels(workspace: Workspace, path: Path, original: Path, options: Options) -> Path:
    check_path(path)
    name, folder = _file_name(options.name or path.stem), workspace.root / "labels"
    day, sha256 = options.given.date, sha256_of(original)
    if path.suffix.lower() in _VECTORS:
        record = add_vector_labels(
            path, folder, name, column=options.label_column, crosswalk=options.crosswalk, date=day, sha256=sha256
        )
    else:
        record = add_raster_labels(path, folder, name, crosswalk=options.crosswalk, date=day, sha256=sha256)
    return record.path


def _add_samples(workspace: Workspace, path: Path, options: Options) -> Path:
    """Copy a sheet and what was written beside it when the sample was drawn."""
    check_path(path)
    if path.suffix.lower() != ".xlsx" or not zipfile.is_zipfile(path):
        raise InputError(f"{path.name}: samples come as the Excel sheet (.xlsx) that the sampling tool wrote")
    target = workspace.root / "samples" / f"{_file_name(options.name or path.stem)}.xlsx"
    for suffix in ("", *_SAMPLE_COMPANIONS):
        source = path.with_suffix(suffix) if suffix else path
        if source.is_file():
            with atomic_path(target.with_suffix(suffix) if suffix else target) as partial:
                shutil.copyfile(source, partial)
    return target


def _add_county(workspace: Workspace, folder: Path, runner: Runner | None) -> list[str]:
    """Scenes with their masks, label rasters and zones of a simulated county; its name where ours is empty."""
    county = json.loads((folder / "county.json").read_text(encoding="utf-8"))
    try:
        files = [folder / name for name in county["files"] if name.startswith("zones/")]
        jobs = [(path, Options(kind="zone")) for path in files]
        # Simulated Landsat numbers are those of Level-2; Sentinel-2 files carry their baseline.
        level = "L2SP" if county["sensor"].startswith("landsat") else None
        for scene in county["scenes"]:
            given = Given(date=scene["date"], level=level, mask=folder / scene["mask"])
            jobs.append((folder / scene["image"], Options(given, "scene")))
            labels = Options(Given(date=scene["date"]), "labels", crosswalk="canonical")
            jobs.append((folder / scene["labels"], labels))
        name = str(county["name"])
    except (KeyError, TypeError) as error:
        raise InputError(f"{folder}/county.json: is not the record of a simulated county ({error})") from error
    outside = [path for path, _ in jobs if not path.resolve().is_relative_to(folder.resolve())]
    if outside:
        raise InputError(f"{folder}/county.json: names files outside its folder: {outside[0]}")
    added = [one for path, options in jobs for one in add(workspace, path, options, runner)]
    if not workspace.name:
        _save(replace(workspace, name=name))
    return added


def _save(workspace: Workspace) -> None:
    values = {"name": workspace.name, "code": workspace.code, "as_of": workspace.as_of}
    lines = [f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in values.items() if value is not None]
    with atomic_path(workspace.root / "workspace.yaml") as partial:
        partial.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _unquoted(value: str) -> str:
    quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "\"'"
    if quoted and value[0] == '"':
        return str(json.loads(value))
    return value[1:-1] if quoted else value


def _check_date(text: str | None) -> str | None:
    try:
        return None if text is None else date.fromisoformat(text).isoformat()
    except ValueError as error:
        raise InputError(f"as_of {text}: expected an ISO date such as 2024-12-31") from error


def _file_name(text: str) -> str:
    """A name without separators, spaces at its ends, or a leading dot; Chinese stays."""
    name = re.sub(r'[\\/:*?"<>|\x00-\x1f]+', "_", text).strip(" .")
    if not name:
        raise InputError(f"--name {text!r}: no letters or digits are left for a file name")
    return name


if __name__ == "__main__":
    # Imported here: the command needs this module under its real name, not as __main__.
    from src.geo.workspace_cli import main

    run_command(main)
