"""A simulated county: satellite scenes of several dates with the truth known to the square metre.

    python -m src.geo.simulate --out output/county7 --seed 7 --size 512 --dates 2023-09-20,2024-09-25

Writes scenes (Sentinel-2 or Landsat digital numbers), their quality masks, land
cover and object labels, zones, and ``county.json`` with the truth: areas of
each class on each date, change between dates, and both inside every zone. The
same arguments give the same county. Not simulated: snow, view-angle effects,
misregistration between dates, bands other than the six listed in
``simulation.spectra``.
"""

import argparse
import json
import re
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyproj
from affine import Affine
from tqdm import tqdm

from src.errors import InputError, run_command
from src.geo.grid import Grid, Raster
from src.geo.raster import atomic_path, write_raster
from src.geo.sensors import SENSORS, Sensor
from src.geo.simulation.change import Event, State, plan_events, state_on
from src.geo.simulation.cover import CLASS_OF_COVER
from src.geo.simulation.landscape import Landscape, build_landscape
from src.geo.simulation.profile import CountyProfile, draw_profile
from src.geo.simulation.sensor_model import (
    Observation,
    digital_numbers,
    majority_class,
    observe,
    qa_pixel_mask,
    scl_mask,
)
from src.geo.simulation.spectra import BAND_ROLES
from src.geo.simulation.terrain import Frame
from src.geo.simulation.truth import label_areas, measure
from src.geo.simulation.vectors import Feature, build_objects, build_zones, to_crs_layer
from src.geo.vector import write_vector

# Fine cells along a pixel.
_FACTOR = 3
_SIZES = (64, 2048)
_PIXEL_M = {"sentinel2_l2a": 10.0, "landsat5": 30.0, "landsat7": 30.0, "landsat8": 30.0, "landsat9": 30.0}
_BASELINE = "05.00"


def simulate_county(
    out: Path,
    *,
    seed: int,
    size: int,
    sensor: str,
    dates: list[str],
    crs: str,
    cloud_share: float = 0.05,
    cloudy: Mapping[str, float] | None = None,
    objects: bool = True,
    done: Callable[[float], None] | None = None,
) -> dict[str, Any]:
    """Simulate a county and write it to a folder.

    Args:
        out: folder; an earlier county in it is replaced.
        seed: 0 or more; decides everything random.
        size: pixels on a side of the square scene, 64..2048.
        sensor: "sentinel2_l2a" (10 m), or "landsat5", "landsat7", "landsat8", "landsat9" (30 m).
        dates: ISO dates of acquisition, each once.
        crs: "EPSG:<code>" of a projected CRS in metres, in northern mid-latitudes.
        cloud_share: mean share of a scene under cloud, 0..0.9.
        cloudy: another share for some of the dates.
        objects: write the layers of objects too; they are a third of the time.
        done: is told the share of the work that is done, 0..1.

    Returns:
        The content of county.json.

    Raises:
        InputError: an argument is outside its range.
    """
    days = _check(seed, size, sensor, dates, cloud_share)
    clouds = {str(day): cloud_share for day in days} | dict(cloudy or {})
    _check_cloudy(clouds, days)
    profile, pixel_m = draw_profile(seed), _PIXEL_M[sensor]
    grid = _scene_grid(crs, profile, seed, size, pixel_m)
    frame = Frame(n=size * _FACTOR, cell_m=pixel_m / _FACTOR, unit=float(np.sqrt(pixel_m / 10.0)))
    _remove_earlier(out)
    with tqdm(total=len(days) + 2, desc="landscape", disable=None) as progress:
        landscape = build_landscape(profile, frame, seed, pixel_m)
        events = plan_events(landscape, days)
        progress.update()
        zones = build_zones(landscape, state_on(landscape, events, days[0]), np.random.default_rng([seed, 4]))
        files = _write_zones(out, grid, zones)
        scenes, classes, labels = [], {}, {}
        for number, day in enumerate(days):
            if done is not None:
                done((number + 2) / (len(days) + 3))
            progress.set_description(str(day))
            state = state_on(landscape, events, day)
            weather = np.random.default_rng([seed, 5, day.toordinal()])
            seen = observe(landscape, state, pixel_m, clouds[str(day)], sensor == "sentinel2_l2a", weather)
            labels[str(day)] = majority_class(state.cover, _FACTOR)
            classes[str(day)] = CLASS_OF_COVER[state.cover]
            names = _write_date(out, grid, SENSORS[sensor], landscape, state, seen, labels[str(day)], objects)
            files += names.values()
            scenes.append(_scene_record(state, seen, names))
            progress.update()
        progress.set_description("truth")
        truth = measure(classes, grid.resized((frame.n, frame.n)), frame, zones)
        truth["label_areas_m2"] = label_areas(labels, grid)
        progress.update()
    options = f"--seed {seed} --size {size} --sensor {sensor} --dates {','.join(map(str, days))}"
    options += f" --crs {crs} --cloud_share {cloud_share}" + _further_options(cloudy or {}, objects)
    county = _county_record(profile, grid, seed, sensor, crs, cloud_share)
    county |= {"commands": [f"python -m src.geo.simulate --out OUT {options}"]}
    county |= {"dates": [str(day) for day in days], "scenes": scenes, "files": files}
    county |= {"events": [_event_record(event, frame, grid) for event in events], "truth": truth}
    with atomic_path(out / "county.json") as partial:
        partial.write_text(json.dumps(county, ensure_ascii=False, indent=1), encoding="utf-8")
    return county


def _check(seed: int, size: int, sensor: str, dates: list[str], cloud_share: float) -> list[date]:
    """Dates in order; raises InputError for anything that cannot be simulated."""
    if seed < 0:
        raise InputError(f"seed {seed} is negative; use 0 or more")
    if not _SIZES[0] <= size <= _SIZES[1]:
        raise InputError(f"size {size} is outside {_SIZES[0]}..{_SIZES[1]} pixels")
    if sensor not in _PIXEL_M:
        raise InputError(f"unknown sensor {sensor!r}; expected one of {', '.join(_PIXEL_M)}")
    if not 0.0 <= cloud_share <= 0.9:
        raise InputError(f"cloud share {cloud_share} is outside 0..0.9")
    try:
        days = sorted(date.fromisoformat(text) for text in dates)
    except ValueError as error:
        raise InputError(f"dates {','.join(dates)}: expected ISO dates such as 2024-09-25 ({error})") from error
    if not days or len(set(days)) != len(days):
        raise InputError(f"dates {','.join(dates) or '(none)'}: give at least one date, and each once")
    return days


def _check_cloudy(clouds: Mapping[str, float], days: list[date]) -> None:
    unknown = sorted(set(clouds) - {str(day) for day in days})
    if unknown or not all(0.0 <= share <= 0.9 for share in clouds.values()):
        raise InputError(f"cloudy dates {dict(clouds)}: expected dates of the scenes, each with a share of 0..0.9")


def _scene_grid(crs_name: str, profile: CountyProfile, seed: int, size: int, pixel_m: float) -> Grid:
    """A square grid at the profile's latitude, somewhere in the CRS's own area, on whole pixels."""
    if not re.fullmatch(r"EPSG:\d{4,6}", crs_name):
        raise InputError(f"crs {crs_name!r}: expected EPSG:<code>, such as EPSG:32648 or EPSG:4544")
    try:
        crs = pyproj.CRS.from_user_input(crs_name)
    except pyproj.exceptions.CRSError as error:
        raise InputError(f"crs {crs_name!r} is not known ({error})") from error
    area = crs.area_of_use
    metres = crs.is_projected and all(axis.unit_name == "metre" for axis in crs.axis_info)
    if not metres or area is None or not (area.south < profile.latitude < area.north):
        raise InputError(
            f"crs {crs_name} ({crs.name}): expected a projected CRS in metres that holds latitude "
            f"{profile.latitude:.1f} north, such as EPSG:32648 or EPSG:4544"
        )
    offset = np.random.default_rng([seed, 6]).uniform(-0.25, 0.25)
    longitude = (area.west + area.east) / 2 + offset * (area.east - area.west)
    to_crs = pyproj.Transformer.from_crs(crs.geodetic_crs, crs, always_xy=True)
    centre_x, centre_y = to_crs.transform(longitude, profile.latitude)
    left, top = (round(c / pixel_m) * pixel_m + s * (size // 2) * pixel_m for c, s in ((centre_x, -1), (centre_y, 1)))
    return Grid(crs, Affine(pixel_m, 0, left, 0, -pixel_m, top), (size, size))


def _remove_earlier(out: Path) -> None:
    """Delete the files that an earlier county in this folder lists, so that no stale date stays behind."""
    record = out / "county.json"
    if not record.exists():
        return
    try:
        files = json.loads(record.read_text(encoding="utf-8"))["files"]
    except (ValueError, KeyError) as error:
        raise InputError(f"{record} is not the record of a simulated county; choose another --out folder") from error
    for name in files:
        if not Path(name).is_absolute() and ".." not in Path(name).parts:
            (out / name).unlink(missing_ok=True)
    record.unlink()


def _write_date(
    out: Path,
    grid: Grid,
    sensor: Sensor,
    landscape: Landscape,
    state: State,
    seen: Observation,
    label: np.ndarray,
    objects: bool,
) -> dict[str, str]:
    """Write scene, mask, label raster and objects of one date; returns their names."""
    day, stem = str(state.day), f"scenes/{sensor.name}_{state.day}"
    names = {"image": f"{stem}.tif", "mask": f"{stem}_mask.tif", "labels": f"labels/landcover_{day}.tif"}
    bands = [next(band.name for band in sensor.bands if band.role == role) for role in BAND_ROLES]
    everywhere = np.ones(grid.shape_hw, bool)
    sentinel = sensor.name.startswith("sentinel2")
    numbers, baseline = digital_numbers(seen.reflectance, sensor), _BASELINE if sentinel else None
    scene = Raster(numbers, everywhere, grid, tuple(bands), day, sensor.name, baseline=baseline)
    write_raster(out / names["image"], scene, nodata=0)
    mask = (scl_mask if sentinel else qa_pixel_mask)(seen.reflectance, seen.obstruction)
    write_raster(out / names["mask"], Raster(mask[None], everywhere, grid, ("SCL" if sentinel else "QA_PIXEL",), day))
    write_raster(out / names["labels"], Raster(label[None], everywhere, grid, ("land_class",), day), nodata=0)
    if objects:
        names["objects"] = f"labels/objects_{day}.gpkg"
        write_vector(out / names["objects"], to_crs_layer(build_objects(landscape, state), grid))
    return names


def _write_zones(out: Path, grid: Grid, zones: dict[str, list[Feature]]) -> list[str]:
    """Write the zone layers that have features; returns their names."""
    names = []
    for layer, features in zones.items():
        if features:
            names.append(f"zones/{layer}.gpkg")
            write_vector(out / names[-1], to_crs_layer(features, grid))
    return names


def _scene_record(state: State, seen: Observation, names: Mapping[str, str]) -> dict[str, Any]:
    return {
        "date": str(state.day),
        **names,
        "sun_elevation_deg": round(seen.sun_elevation_deg, 2),
        "sun_azimuth_deg": round(seen.sun_azimuth_deg, 2),
        "haze": round(seen.haze, 3),
        "clear_share": round(float((seen.obstruction == 0).mean()), 4),
        "water_level_m": round(state.water_level_m, 2),
    }


def _event_record(event: Event, frame: Frame, grid: Grid) -> dict[str, Any]:
    rows, cols = np.divmod(event.cells, frame.n)
    x, y = grid.transform @ (float(cols.mean() + 0.5) / _FACTOR, float(rows.mean() + 0.5) / _FACTOR)
    return {
        "kind": event.kind,
        "start": str(event.start),
        "bare_soil_days": event.site_days,
        "cells_m2": len(event.cells) * frame.cell_m**2,
        "x": round(x, 1),
        "y": round(y, 1),
    }


def _further_options(cloudy: Mapping[str, float], objects: bool) -> str:
    """Options of the command that differ from its defaults."""
    shares = ",".join(f"{day}={share}" for day, share in cloudy.items())
    return (f" --cloudy {shares}" if cloudy else "") + ("" if objects else " --no_objects")


def _county_record(
    profile: CountyProfile, grid: Grid, seed: int, sensor: str, crs: str, cloud_share: float
) -> dict[str, Any]:
    return {
        "simulated": True,
        "name": profile.name_zh,
        "name_en": profile.name_en,
        "seed": seed,
        "landform": profile.landform,
        "cropping": profile.climate,
        "crs": crs,
        "bounds": list(grid.bounds()),
        "sensor": sensor,
        "size_px": grid.shape_hw[0],
        "pixel_m": grid.transform.a,
        "fine_cell_m": grid.transform.a / _FACTOR,
        "cloud_share": cloud_share,
    }


def _parse_cloudy(text: str) -> dict[str, float]:
    try:
        pairs = [part.split("=") for part in text.split(",") if part.strip()]
        return {day.strip(): float(share) for day, share in pairs}
    except ValueError as error:
        raise InputError(f"--cloudy {text}: expected DATE=SHARE,DATE=SHARE ({error})") from error


def main() -> int | None:
    """Parse the command line and simulate one county."""
    parser = argparse.ArgumentParser(prog="python -m src.geo.simulate", description=__doc__.split("\n\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="folder to write; an earlier county in it is replaced")
    parser.add_argument("--seed", type=int, default=0, help="decides everything random (default 0)")
    parser.add_argument("--size", type=int, default=512, help="pixels on a side, 64..2048 (default 512)")
    parser.add_argument("--sensor", default="sentinel2_l2a", help=f"{', '.join(_PIXEL_M)} (default sentinel2_l2a)")
    parser.add_argument(
        "--dates", default="2023-09-20,2024-09-25", help="ISO dates, comma separated (default 2023-09-20,2024-09-25)"
    )
    parser.add_argument("--crs", default="EPSG:32648", help="projected CRS in metres (default EPSG:32648)")
    parser.add_argument("--cloud_share", type=float, default=0.05, help="mean share under cloud, 0..0.9 (default 0.05)")
    parser.add_argument("--cloudy", default="", help="other shares for some dates: DATE=SHARE,DATE=SHARE")
    parser.add_argument("--no_objects", action="store_true", help="leave out the layers of objects")
    args = parser.parse_args()
    dates = [text.strip() for text in args.dates.split(",") if text.strip()]
    print(f"Simulating county {args.seed}: {args.size} px of {args.sensor} on {len(dates)} dates -> {args.out}")
    county = simulate_county(
        args.out,
        seed=args.seed,
        size=args.size,
        sensor=args.sensor,
        dates=dates,
        crs=args.crs,
        cloud_share=args.cloud_share,
        cloudy=_parse_cloudy(args.cloudy),
        objects=not args.no_objects,
    )
    print(f"{county['name']} ({county['name_en']}), {county['landform']}: {len(county['files'])} files and county.json")
    return None


if __name__ == "__main__":
    run_command(main)
