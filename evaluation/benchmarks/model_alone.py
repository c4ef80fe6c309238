"""Areas answered in words: by the system, which measures, and by the same model alone, which looks at the picture.

    python -m evaluation.benchmarks.model_alone --counties 10 --data DATA --out evaluation/results/model_alone.json

Places with a known area of every class: the later date of simulated counties of fresh seeds, and, with ``--data``, the
labelled scenes of Raleigh (Landsat 7) and Slovenia (Sentinel-2), whose western half of labels is the county's own
survey and whose eastern half is asked about. The system is asked "2024年12月26日耕地面积是多少？", and so on for each
class; the model is told the place's whole area and asked for the class in hectares, in the words it was trained on. Its
answer is the first area in it. Relative error: difference over truth, of classes with at least ``LEAST_SHARE`` of the
place; coverage: share of all stated ranges, small classes included, that hold the truth (the model states none).
"answered" counts the large classes for which an area was given. Intervals by resampling places.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
from PIL import Image
from shapely.geometry import box
from tqdm import tqdm

from evaluation.scores.bootstrap import estimate, ratio, resampled
from evaluation.story import provenance
from src.answers.units import find_quantities, prepare
from src.assistant.county import County
from src.assistant.demo import DEMO, TRUTH, build
from src.assistant.pipeline import Assistant, Dialogue
from src.constants import LAND_CLASS_NAMES, LAND_CLASSES
from src.dataset.landuse_places import read_labels
from src.errors import InputError, run_command
from src.geo.areas import class_areas_m2
from src.geo.blocks import ThreadRunner
from src.geo.grid import Grid, Raster
from src.geo.legend import CROSSWALKS
from src.geo.raster import read_raster, write_raster
from src.geo.render import render_rgb
from src.geo.scenes.product import Given
from src.geo.vector import write_vector
from src.geo.workspace import Options, Workspace, add, init_workspace
from src.model.backend import load_backend

DATES = ("2023-12-24", "2024-12-26")
LEAST_SHARE = 0.02
_PICTURE_PX = 224
_HECTARE_M2 = 10_000.0


@dataclass(frozen=True)
class Place:
    """Where every class's area is known.

    Args:
        name: of the place.
        workspace: with its latest scene.
        day: of that scene, ISO.
        truth_m2: by class name.
        picture: RGB, the place and nothing else.
    """

    name: str
    workspace: Workspace
    day: str
    truth_m2: dict[str, float]
    picture: Image.Image


@dataclass(frozen=True)
class Real:
    """A labelled scene: image, labels, their crosswalk, what the file does not tell, and its date."""

    image: str
    labels: str
    crosswalk: str
    given: Given


REAL = (
    Real(
        "raleigh_landsat7_2000/raleigh_LE07_2000.tif",
        "raleigh_landsat7_2000/strata.tif",
        "raleigh",
        Given(date="2000-03-31", sensor="landsat7", level="DN"),
    ),
    Real(
        "slovenia_s2_2015/slovenia_S2L1C_20150830.tif",
        "slovenia_s2_2015/slovenia_LULC_reference.tif",
        "slovenia",
        Given(date="2015-08-30", sensor="sentinel2_l1c", level="L1C", baseline="02.04"),
    ),
)


def simulated(seed: int, folder: Path) -> Place:
    """A simulated county of two dates, with labels of the first."""
    plan = replace(DEMO, seed=seed, size=256, dates=DATES, cloudy={})
    workspace = build(folder, plan, ThreadRunner())
    truth = json.loads((folder / TRUTH).read_text(encoding="utf-8"))["truth"]
    (county,) = truth["zones"]["county"]
    scene = next(one for one in workspace.scenes() if one.record.date == DATES[-1])
    picture = _picture(scene.folder / "bands.tif")
    return Place(f"county {seed}", workspace, DATES[-1], county["areas_m2"][DATES[-1]], picture)


def real(one: Real, data: Path, folder: Path) -> Place:
    """A real scene; labels of its western half, truth and county outline of its eastern half."""
    raster = read_raster(data / one.image)
    labels = read_labels(data / one.labels, raster.grid, None, CROSSWALKS[one.crosswalk])
    middle = labels.shape[1] // 2
    day = str(one.given.date)
    workspace = init_workspace(folder, name=one.crosswalk, as_of=day)
    add(workspace, data / one.image, Options(one.given, "scene"), ThreadRunner())
    west, east = labels.copy(), labels.copy()
    west[:, middle:], east[:, :middle] = 0, 0
    write_raster(folder / "survey.tif", Raster(west[None], west > 0, raster.grid, ("class",)), nodata=0)
    add(workspace, folder / "survey.tif", Options(Given(date=day), "labels", crosswalk="canonical"), ThreadRunner())
    write_vector(folder / "half.gpkg", _eastern_half(raster.grid, middle, one.crosswalk))
    add(workspace, folder / "half.gpkg", Options(kind="zone", zone_type="county"), ThreadRunner())
    areas = class_areas_m2(east, raster.grid)
    truth = {name: areas.get(number, 0.0) for number, name in LAND_CLASSES.items()}
    return Place(one.crosswalk, workspace, day, truth, _picture(data / one.image, middle))


def _eastern_half(grid: Grid, middle: int, name: str) -> gpd.GeoDataFrame:
    height, width = grid.shape_hw
    (left, top), (right, bottom) = grid.transform * (middle, 0), grid.transform * (width, height)
    return gpd.GeoDataFrame({"name": [name]}, geometry=[box(left, bottom, right, top)], crs=grid.crs)


def _picture(path: Path, first_column: int = 0) -> Image.Image:
    picture = Image.fromarray(render_rgb(read_raster(path))[:, first_column:])
    return picture.resize((_PICTURE_PX, round(_PICTURE_PX * picture.height / picture.width)))


def ask(place: Place, model: Any) -> Iterator[dict[str, Any]]:
    """Each class with its truth and both answers, m2."""
    county = County(place.workspace, ThreadRunner(), date.fromisoformat(place.day))
    assistant, total = Assistant(county), sum(place.truth_m2.values())
    day = date.fromisoformat(place.day)
    for cls, truth in place.truth_m2.items():
        name = LAND_CLASS_NAMES[cls]["zh"]
        answer = assistant.ask(f"{day.year}年{day.month}月{day.day}日{name}面积是多少？", Dialogue())
        assert answer.evidence is not None
        found = [one for one in answer.evidence.find(quantity="state", cls=cls, place=None) if one.dimension == "area"][
            :1
        ]
        question = f"图中总面积{total / _HECTARE_M2:.0f}公顷，其中{name}的面积是多少公顷？"
        content = [{"type": "image", "image": place.picture}, {"type": "text", "text": question}]
        said = model.generate([{"role": "user", "content": content}], max_new_tokens=24, temperature=0.0)
        areas = [one.value for one in find_quantities(prepare(said)) if one.dimension == "area"]
        yield {
            "place": place.name,
            "class": cls,
            "truth_m2": truth,
            "share": truth / total,
            "status": answer.evidence.status,
            "system_m2": found[0].value if found else None,
            "bounds_m2": list(found[0].bounds) if found and found[0].bounds else None,
            "model_said": said,
            "model_m2": areas[0] if areas else None,
        }


def collect(args: argparse.Namespace) -> list[dict[str, Any]]:
    """Rows of all places; each place is made, asked and removed."""
    model = load_backend(args.model)
    makers: list[Any] = [lambda folder, seed=args.seed + n: simulated(seed, folder) for n in range(args.counties)]
    if args.data is not None:
        if not args.data.is_dir():
            raise InputError(f"--data {args.data}: no such folder; expected one that holds {REAL[0].image}")
        makers += [lambda folder, one=one: real(one, args.data, folder) for one in REAL]
    rows = []
    for make in tqdm(makers, desc="places", disable=None):
        with tempfile.TemporaryDirectory(prefix="model_alone_") as folder:
            rows += list(ask(make(Path(folder) / "w"), model))
    return rows


def summarise(rows: list[dict[str, Any]], seed: int) -> dict[str, Any]:
    """Median relative error, coverage, refusals and unreadable answers of both."""
    large = [row for row in rows if row["share"] >= LEAST_SHARE]
    result: dict[str, Any] = {"n": len(rows), "n_errors": len(large)}
    for way in ("system", "model"):
        told = [row for row in large if row[f"{way}_m2"] is not None]
        errors = np.array([abs(row[f"{way}_m2"] - row["truth_m2"]) / row["truth_m2"] for row in told])
        places = [row["place"] for row in told]
        result[way] = {
            "answered": len(told),
            "mean_relative_error": _with_interval(errors, places, seed),
            "median_relative_error": round(float(np.median(errors)), 4) if len(errors) else None,
        }
    ranged = [row for row in rows if row["bounds_m2"] is not None]
    held = np.array([row["bounds_m2"][0] <= row["truth_m2"] <= row["bounds_m2"][1] for row in ranged], float)
    result["system"]["coverage"] = _with_interval(held, [row["place"] for row in ranged], seed)
    return result


def _with_interval(values: Any, places: list[str], seed: int) -> dict[str, Any] | None:
    if not len(values):
        return None
    sums = resampled(np.stack([values, np.ones(len(values))], axis=1), places, seed)
    return estimate(float(values.mean()), ratio(sums[:, 0], sums[:, 1])) | {"n": len(values)}


def parse() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counties", type=int, default=10)
    parser.add_argument("--seed", type=int, default=2000, help="of the first county; the next ones follow")
    parser.add_argument("--model", default="assets/nano", help="model folder or hub id")
    parser.add_argument("--data", type=Path, help="folder of real scenes with labels")
    parser.add_argument("--out", type=Path, help="write the result here")
    return parser.parse_args()


def main() -> None:
    """Ask, print both summaries (simulated, real), then one JSON line."""
    args, started = parse(), time.time()
    rows = collect(args)
    names = {one.crosswalk for one in REAL}
    parts = {
        "simulated": [r for r in rows if r["place"] not in names],
        "real": [r for r in rows if r["place"] in names],
    }
    summary = {name: summarise(part, 0) for name, part in parts.items() if part}
    for name, found in summary.items():
        for way in ("system", "model"):
            print(f"{name:10} {way:7} {json.dumps(found[way])}")
    result = provenance(args, started, "evaluation.benchmarks.model_alone") | {"summary": summary, "rows": rows}
    print(json.dumps({"summary": summary}))
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(result, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    run_command(main)
