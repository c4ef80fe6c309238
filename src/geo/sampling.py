"""A stratified random sample of map pixels: draw it, have it interpreted, estimate areas from it.

    python -m src.geo.sampling draw --map out/change.tif --n 600 --seed 1 --out samples/change.xlsx
    python -m src.geo.sampling draw --map before.tif --map after.tif --class cropland --ring 2 --out samples/crop.xlsx
    python -m src.geo.sampling read samples/change.xlsx
    python -m src.geo.sampling estimate samples/change.xlsx

``draw`` writes the sheet for interpretation, a GeoPackage of the points, and ``<name>.design.json``, which holds the
strata and map classes: keep it from the interpreters.
"""

import argparse
import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

import geopandas as gpd
import pyproj

from src.constants import LAND_CLASS_IDS
from src.errors import InputError, MissingPathError, run_command
from src.geo.areas import convert_area
from src.geo.blocks import ThreadRunner
from src.geo.caveats import CAVEATS
from src.geo.estimates.accuracy import AreaEstimate, estimate_areas, tally
from src.geo.estimates.design import MIN_PER_STRATUM, Design, Point, Stratum, Target, draw_sample
from src.geo.estimates.sheet import KINDS, Answers, read_sheet, write_sheet
from src.geo.raster import atomic_path
from src.geo.vector import write_vector

_UNITS = ("m2", "mu", "ha")
_HEAD = {"m2": "m2", "mu": "亩 mu", "ha": "公顷 ha"}


def write_sample(path: Path, design: Design, crs: pyproj.CRS) -> tuple[Path, Path]:
    """Write sheet, points and design; returns the paths of the last two.

    Raises:
        InputError: the path is no .xlsx, or exists already: it may hold interpretations.
    """
    points_path, design_path = path.with_suffix(".gpkg"), path.with_suffix(".design.json")
    if path.suffix.lower() != ".xlsx":
        raise InputError(f"{path}: the sheet is an Excel workbook, use a name that ends in .xlsx")
    for existing in (path, points_path, design_path):
        if existing.exists():
            raise InputError(f"{existing}: exists already and may hold interpretations; choose another --out")
    rows = [asdict(point) for point in design.points]
    about = [f"地图 map: {part['name']}" for part in design.maps] + [f"CRS: {crs.name}"]
    write_sheet(path, design.kind, rows, about)
    geometry = gpd.points_from_xy([row["lon"] for row in rows], [row["lat"] for row in rows])
    points = gpd.GeoDataFrame({"sample": [row["sample"] for row in rows]}, geometry=geometry, crs=4326)
    write_vector(points_path, points)
    with atomic_path(design_path) as partial_path:
        partial_path.write_text(json.dumps(asdict(design), ensure_ascii=False, indent=1), encoding="utf-8")
    return points_path, design_path


def read_sample(path: Path) -> tuple[Design, Answers]:
    """The design of a sample and its interpretations so far.

    Raises:
        MissingPathError: sheet or design is missing.
        InputError: the sheet has faults, see ``read_sheet``; or the design is damaged.
    """
    design_path = path.with_suffix(".design.json")
    if not design_path.is_file():
        raise MissingPathError(f"{design_path}: no such file; it is written beside the sheet by draw")
    try:
        values = json.loads(design_path.read_text(encoding="utf-8"))
        strata = tuple(Stratum(**row) for row in values.pop("strata"))
        points = tuple(Point(**row) for row in values.pop("points"))
        mapped = {int(code): float(area) for code, area in values.pop("mapped_m2").items()}
        design = Design(**values, strata=strata, points=points, mapped_m2=mapped)
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{design_path}: is damaged ({error}); draw again") from error
    return design, read_sheet(path, design.kind, [point.sample for point in design.points], design.focus)


def estimate_sample(design: Design, answers: Answers) -> AreaEstimate:
    """Areas and accuracies from an interpreted sample; errors as of ``estimate_areas``."""
    counts = tally(
        [point.stratum for point in design.points],
        [point.mapped for point in design.points],
        [answers.reference[point.sample] for point in design.points],
        {stratum.code: stratum.area_m2 for stratum in design.strata},
        design.mapped_m2,
    )
    return estimate_areas(counts)


def report(design: Design, estimate: AreaEstimate) -> dict[str, Any]:
    """An estimate with names and units, as JSON can hold it."""
    rows = []
    for row in estimate.classes:
        values = asdict(row) | {"name": KINDS[design.kind][row.code], "margin_m2": row.margin_m2}
        values["areas"] = {
            unit: [convert_area(value, unit) for value in (row.area_m2, row.low_m2, row.high_m2)] for unit in _UNITS
        }
        rows.append(values)
    return asdict(estimate) | {"kind": design.kind, "focus": design.focus, "classes": rows}


def table(design: Design, estimate: AreaEstimate) -> str:
    """An estimate as text."""
    lines = [f"样本 samples {estimate.samples}, 未判读 missing {estimate.missing}"]
    for unit in _UNITS:
        lines.append(f"{'类别 class':24}{'地图 mapped':>18}{'估计 estimate':>18}   95 %  ({_HEAD[unit]})")
        for row in estimate.classes:
            words = KINDS[design.kind][row.code]
            values = [convert_area(value, unit) for value in (row.mapped_m2, row.area_m2, row.low_m2, row.high_m2)]
            name = f"{words['zh']} {words['en']}"
            lines.append(f"{name:24}{values[0]:18.2f}{values[1]:18.2f}   {values[2]:.2f} - {values[3]:.2f}")
    lines.append(
        f"总体精度 overall {estimate.overall:.4f} +- {estimate.overall_margin:.4f}, kappa {_number(estimate.kappa)}"
    )
    for row in estimate.classes:
        users, producers = (
            f"{_number(value)} +- {_number(margin)}"
            for value, margin in ((row.users, row.users_margin), (row.producers, row.producers_margin))
        )
        words = KINDS[design.kind][row.code]
        lines.append(
            f"{words['zh']} {words['en']}: 用户精度 UA {users}, 生产者精度 PA {producers}, F1 {_number(row.f1)}"
        )
        lines += [f"  {code}: {CAVEATS[code]['zh']}; {CAVEATS[code]['en']}" for code in row.caveats]
    return "\n".join(lines)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _target(args: argparse.Namespace) -> Target:
    """What the options of draw ask for; the kind comes from the number of maps, or from the name of a single one."""
    kind = args.kind
    if kind is None:
        stem = args.map[0].stem.lower()
        kind = (
            "gain_loss"
            if len(args.map) == 2
            else next((k for k in ("change", "landcover") if stem.startswith(k)), None)
        )
    if kind is None:
        raise InputError(f"{args.map[0]}: say what it shows by --kind landcover or --kind change")
    focus = None if args.focus is None else LAND_CLASS_IDS[args.focus]
    return Target(kind, tuple(args.map), focus, args.strata, args.ring)


def _expected(text: str | None) -> dict[int, float]:
    """Expected user's accuracies from "2=0.7,1=0.99"."""
    try:
        pairs = [part.split("=") for part in (text or "").split(",") if part]
        users = {int(code): float(share) for code, share in pairs}
    except ValueError as error:
        raise InputError(f"--expected {text}: expected map classes with accuracies, such as 2=0.7,1=0.99") from error
    return users


def _draw(args: argparse.Namespace) -> None:
    target = _target(args)
    grid = target.grid()
    print(f"Sampling {target.kind} of {', '.join(map(str, target.paths))}, seed {args.seed} -> {args.out}")
    runner, expected = ThreadRunner(args.workers), _expected(args.expected)
    design = draw_sample(target, args.n, args.seed, runner, args.minimum, expected)
    assert grid.crs is not None
    written = write_sample(args.out, design, grid.crs)
    total = sum(stratum.area_m2 for stratum in design.strata)
    print(f"{'层 stratum':32}{'share':>9}{'pixels':>13}{'drawn':>7}")
    for stratum in design.strata:
        share = f"{stratum.area_m2 / total:.3%}"
        print(f"{stratum.name:32}{share:>9}{stratum.pixels:13d}{stratum.drawn:7d}")
    print(f"{len(design.points)} points: {args.out}, {written[0]}")
    print(f"{written[1]}: strata and map classes, not for the interpreters")


def _read(args: argparse.Namespace) -> None:
    design, answers = read_sample(args.sheet)
    counts = Counter(answers.reference.values())
    print(f"{len(design.points)} samples, {counts[None]} not interpreted")
    for code, words in KINDS[design.kind].items():
        print(f"{words['zh']} {words['en']}: {counts[code]}")


def _estimate(args: argparse.Namespace) -> None:
    design, answers = read_sample(args.sheet)
    estimate = estimate_sample(design, answers)
    print(json.dumps(report(design, estimate), ensure_ascii=False) if args.json else table(design, estimate))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m src.geo.sampling", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True, metavar="draw|read|estimate")
    draw = commands.add_parser("draw", help="draw a sample and write the sheet")
    draw.add_argument("--map", type=Path, action="append", required=True, help="class raster; twice for gain and loss")
    draw.add_argument("--kind", choices=list(KINDS), help="what it shows (default: by its name)")
    draw.add_argument(
        "--class", dest="focus", choices=list(LAND_CLASS_IDS), help="class whose gain and loss are wanted"
    )
    draw.add_argument("--strata", type=Path, help="raster of strata 1..255 on the same grid (default: map classes)")
    draw.add_argument("--ring", type=int, default=0, help="pixels around mapped change that are their own stratum")
    draw.add_argument("--n", type=int, help="pixels to draw (default: as the shares advise)")
    draw.add_argument("--minimum", type=int, default=MIN_PER_STRATUM, help="fewest of a stratum (default 50)")
    draw.add_argument("--expected", help="expected user's accuracies by class, such as 2=0.7,1=0.99 (default 0.85)")
    draw.add_argument("--seed", type=int, default=0, help="decides which pixels (default 0)")
    draw.add_argument("--workers", type=int, help="threads (default: one per core)")
    draw.add_argument("--out", type=Path, required=True, help="sheet to write, .xlsx")
    draw.set_defaults(run=_draw)
    read = commands.add_parser("read", help="check an interpreted sheet")
    read.add_argument("sheet", type=Path)
    read.set_defaults(run=_read)
    estimate = commands.add_parser("estimate", help="areas with 95 %% intervals from an interpreted sheet")
    estimate.add_argument("sheet", type=Path)
    estimate.add_argument("--json", action="store_true", help="print JSON alone")
    estimate.set_defaults(run=_estimate)
    return parser


def main() -> None:
    """Parse the command line and run draw, read or estimate."""
    args = _parser().parse_args()
    args.run(args)


if __name__ == "__main__":
    run_command(main)
