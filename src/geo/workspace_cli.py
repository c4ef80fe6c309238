"""Command line of ``python -m src.geo.workspace``."""

# The command's result goes to stdout.
# ruff: noqa: T201

import argparse
import json
from pathlib import Path

from src.errors import LandUseError
from src.geo.blocks import open_runner
from src.geo.legend import CROSSWALKS
from src.geo.scenes.product import Given
from src.geo.scenes.quality import QUALITY_KINDS
from src.geo.sensors import SENSORS
from src.geo.untrusted import harden_process
from src.geo.workspace import KINDS, Options, add, init_workspace, open_workspace
from src.geo.workspace_status import describe, measure_status


def main() -> int | None:
    """Parse the command line and run init, add or status."""
    harden_process()
    args = _parser().parse_args()
    if args.command == "init":
        workspace = init_workspace(args.dir, name=args.name, code=args.code, as_of=args.as_of)
        print(f"{workspace.root}: workspace made")
        return None
    workspace = open_workspace(args.dir)
    if args.command == "status":
        status = measure_status(workspace)
        print(json.dumps(status.to_json(), ensure_ascii=False, indent=1) if args.json else describe(status, args.lang))
        return None
    options = _options(args)
    print(f"Adding {args.file} to {workspace.root}")
    with open_runner(args.dask, args.workers) as runner:
        for added in add(workspace, args.file, options, runner):
            print(f"added {added}{_about(workspace.root / added)}")
    return None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m src.geo.workspace", description="A county's scenes, zones, labels and reference samples."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    init = commands.add_parser("init", help="make an empty workspace")
    init.add_argument("dir", type=Path)
    init.add_argument("--name", default="", help="name of the county")
    init.add_argument("--code", default="", help="its six-digit administrative code")
    init.add_argument("--as-of", dest="as_of", help="day that counts as today, ISO (default the real today)")
    status = commands.add_parser("status", help="dates, sensors, clear shares, gaps")
    status.add_argument("dir", type=Path)
    status.add_argument("--json", action="store_true", help="as one JSON object")
    status.add_argument("--lang", choices=("zh", "en"), default="zh")
    _add_arguments(commands.add_parser("add", help="add a file, folder or archive"))
    return parser


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dir", type=Path)
    parser.add_argument("file", type=Path, help="scene folder, zip, tar or stack; vector; label raster; sample sheet")
    parser.add_argument("--as", dest="kind", choices=KINDS, help="what it is (default: by its content)")
    parser.add_argument("--name", help="of a zone, label layer or sample in the workspace (default: the file's)")
    parser.add_argument("--date", help="acquisition of a scene, or date of labels, ISO")
    parser.add_argument("--sensor", help=", ".join(SENSORS))
    parser.add_argument("--level", help="L2SP, L2A, L1C, ...; DN for uncalibrated numbers")
    parser.add_argument("--baseline", help="Sentinel-2 processing baseline, such as 05.09")
    parser.add_argument("--bands", help="role of each band of a stack, such as blue,green,red,nir,-,swir1")
    parser.add_argument("--scale", type=float, help="reflectance per number, such as 0.0001")
    parser.add_argument("--offset", type=float, help="reflectance added after scaling")
    parser.add_argument("--nodata", type=float, help="number that means no measurement, where the file does not say")
    parser.add_argument("--mask", type=Path, help="quality layer in a file of its own")
    parser.add_argument("--mask-kind", dest="mask_kind", help=", ".join(QUALITY_KINDS))
    parser.add_argument("--label-column", dest="label_column", help="column of a label vector that holds the classes")
    parser.add_argument("--crosswalk", help=f"how to read label codes: {', '.join(CROSSWALKS)}")
    parser.add_argument("--zone-type", dest="zone_type", help="county, town, basic_farmland, red_line, reserve, ...")
    parser.add_argument("--workers", type=int, help="threads (default one per core)")
    parser.add_argument("--dask", help="address of a Dask scheduler to work on instead")


def _options(args: argparse.Namespace) -> Options:
    given = Given(
        date=args.date,
        sensor=args.sensor,
        level=args.level,
        baseline=args.baseline,
        bands=tuple(role.strip() for role in args.bands.split(",")) if args.bands else None,
        scale=args.scale,
        offset=args.offset,
        nodata=args.nodata,
        mask=args.mask,
        mask_kind=args.mask_kind,
    )
    return Options(given, args.kind, args.name, args.label_column, args.crosswalk, args.zone_type)


def _about(path: Path) -> str:
    """What was understood of a scene, so that a wrong reading is seen at once."""
    record = path / "scene.json"
    if not record.is_file():
        return ""
    try:
        values = json.loads(record.read_text(encoding="utf-8"))
    except ValueError as error:
        raise LandUseError(f"{record}: cannot be read back ({error})") from error
    facts = [values[key] for key in ("date", "sensor", "level", "quantity", "baseline") if values[key]]
    facts += [
        f"clear {values['clear_share']:.1%}",
        f"mask {values['mask_source']}",
        *values["caveats"],
        *values["notes"],
    ]
    return ": " + "; ".join(facts)
