"""Measure what changed between two dates of a county, with evidence: python -m src.geo.analyze.

    python -m src.geo.workspace init county && python -m src.geo.workspace add county ...
    python -m src.geo.analyze --workspace county --before 2023-09-20 --after 2024-09-25 --out result

Writes evidence.json, landcover_<date>.tif, change.tif, change_score.tif,
patches.{gpkg,shp,geojson,xlsx,csv}, maps and report.docx. Without labels the
land cover comes from spectral rules; on uncalibrated numbers without labels
only the spectral change part runs. The same inputs give the same evidence.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import geopandas as gpd
import pandas as pd

from src.errors import run_command
from src.geo.blocks import Runner, open_runner
from src.geo.evidence import file_digest, write_evidence
from src.geo.evidence_record import evidence_record
from src.geo.maps.chips import patch_trio
from src.geo.maps.layout import Caption
from src.geo.maps.pictures import Stretch, common_stretch
from src.geo.maps.sheets import change_map, cover_map, overview_map
from src.geo.measure import Measured, Request, measure
from src.geo.patches.export import write_patches
from src.geo.patches.find import MMU_PX
from src.geo.report.write import write_report
from src.geo.workspace import Workspace, open_workspace

MOST_CHIPS = 20
_TITLES = {
    "before": {"zh": "{}前时相影像", "en": "{}: earlier image"},
    "after": {"zh": "{}后时相影像", "en": "{}: later image"},
    "cover": {"zh": "{}土地覆盖图", "en": "{}: land cover"},
    "change": {"zh": "{}疑似变化图", "en": "{}: suspected change"},
    "patches": {"zh": "{}疑似变化图斑分布图", "en": "{}: suspected change patches"},
}
_COUNTY = {"zh": "本县", "en": "This county"}


def analyze(
    workspace: Workspace, request: Request, out: Path, runner: Runner, *, lang: str = "zh", most_chips: int = MOST_CHIPS
) -> dict[str, Any]:
    """Measure, and write everything that a county office hands on.

    Args:
        workspace: with a scene on each date.
        request: what to measure.
        out: folder; results of the same inputs are kept and completed.
        runner: threads or a cluster.
        lang: of maps, ledger and report, "zh" or "en".
        most_chips: patches with pictures of their own, the largest first.

    Returns:
        The evidence record as written.

    Raises:
        InputError: see ``measure``.
        CannotTell: see ``measure``.
    """
    out.mkdir(parents=True, exist_ok=True)
    found = measure(workspace, request, out, runner)
    figures = draw_maps(found, workspace.name, out, lang) | draw_chips(found, out, lang, most_chips)
    chips = {
        key.removesuffix(":change"): f"chips/{path.name}" for key, path in figures.items() if key.endswith(":change")
    }
    exported = write_patches(found.records, out, chips=chips, lang=lang)
    record = evidence_record(workspace, request, found, runner)
    rasters = {path.stem: path for cover in found.covers for path in (cover.classes, cover.probability)}
    rasters |= {"change": found.change_map, "change_score": out / "change_score.tif"}
    record["artefacts"] = _artefacts({**rasters, **figures, **exported}, out)
    final = write_evidence(out / "evidence.json", record)
    write_report(out / "report.docx", final, found.records, figures, lang, max_chips=most_chips)
    return final


def draw_maps(found: Measured, name: str, out: Path, lang: str) -> dict[str, Path]:
    """Maps of both scenes, both land covers, change and patches, under the keys that ``write_report`` reads."""
    pair, place = found.pair, name or _COUNTY[lang]
    before, after = pair.before, pair.after
    stretch = common_stretch([before, after])
    zones = _all_zones(found)
    source = f"{before.record.sensor} {before.record.level}"
    both = before.record.date, after.record.date

    def caption(key: str, dates: tuple[str, ...]) -> Caption:
        return Caption(_TITLES[key][lang].format(place), dates, source, lang)

    folder = out / "maps"
    folder.mkdir(exist_ok=True)
    figures = {key: folder / f"{key}.png" for key in ("overview_before", "overview_after", "change", "patches")}
    overview_map(before, figures["overview_before"], stretch, caption("before", both[:1]), zones=zones)
    overview_map(after, figures["overview_after"], stretch, caption("after", both[1:]), zones=zones)
    change_map(found.change_map, figures["change"], caption("change", both), background=(after, stretch), zones=zones)
    overview_map(after, figures["patches"], stretch, caption("patches", both), zones=zones, patches=found.records)
    for key, cover, day in zip(("cover_before", "cover_after"), found.covers, both, strict=False):
        figures[key] = folder / f"{key}.png"
        cover_map(cover.classes, figures[key], caption("cover", (day,)), zones=zones)
    return figures


def draw_chips(found: Measured, out: Path, lang: str, most: int) -> dict[str, Path]:
    """Before, after and change pictures of the largest patches."""
    pair = found.pair
    stretch: Stretch = common_stretch([pair.before, pair.after])
    largest = found.records.sort_values(["MJ_M2", "TBBH"], ascending=[False, True]).head(most)
    folder = out / "chips"
    folder.mkdir(exist_ok=True)
    figures: dict[str, Path] = {}
    for index in range(len(largest)):
        patch = largest.iloc[index : index + 1]
        figures |= patch_trio(pair.before, pair.after, found.change_map, patch, folder, stretch, lang)
    return figures


def _all_zones(found: Measured) -> gpd.GeoDataFrame | None:
    layers = [layer for kind, layer in found.zones.items() if kind != "basic_farmland"]
    if not layers:
        return None
    # Thousands of farmland parcels would hide the picture.
    table = layers[0] if len(layers) == 1 else pd.concat(layers, ignore_index=True)
    return gpd.GeoDataFrame(table, geometry="geometry", crs=layers[0].crs)


def _artefacts(files: dict[str, Path], out: Path) -> list[dict[str, str]]:
    paths = sorted({path for path in files.values() if path.is_file()})
    return [{"path": path.relative_to(out).as_posix(), "sha256": file_digest(path)} for path in paths]


def parse() -> argparse.Namespace:
    """Command line of the analysis."""
    parser = argparse.ArgumentParser(
        prog="python -m src.geo.analyze", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workspace", type=Path, required=True, help="folder made by src.geo.workspace")
    parser.add_argument("--before", required=True, help="date of the earlier scene, YYYY-MM-DD")
    parser.add_argument("--after", required=True, help="date of the later scene")
    parser.add_argument("--zone", help="name of a zone, or a kind such as reserve; default the county layer, else all")
    parser.add_argument("--out", type=Path, required=True, help="folder for the results")
    parser.add_argument("--mmu_px", type=int, default=MMU_PX, help=f"minimum mapping unit, pixels (default {MMU_PX})")
    parser.add_argument("--chips", type=int, default=MOST_CHIPS, help="patches with pictures (default %(default)s)")
    parser.add_argument("--lang", choices=("zh", "en"), default="zh", help="of maps, ledger and report")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, help="threads; default one per core")
    parser.add_argument("--dask", metavar="ADDRESS", help="Dask scheduler to compute on, such as tcp://10.0.0.5:8786")
    parser.add_argument("--json", action="store_true", help="print the evidence record")
    return parser.parse_args()


def main() -> None:
    """Run the analysis and say where the results are."""
    args = parse()
    workspace = open_workspace(args.workspace)
    request = Request(args.before, args.after, args.zone, args.mmu_px, args.seed)
    where = f", zone {args.zone}" if args.zone else ""
    print(f"Comparing {args.before} with {args.after} in {args.workspace}{where} -> {args.out}", file=sys.stderr)
    with open_runner(args.dask, args.workers) as runner:
        record = analyze(workspace, request, args.out, runner, lang=args.lang, most_chips=args.chips)
    if args.json:
        print(json.dumps(record, ensure_ascii=False))
        return
    patches = record["patches"]
    print(f"{patches['count']} patches of {args.mmu_px} or more pixels, {patches['area_m2']['value_m2'] / 1e4:.2f} ha")
    for name, area in record.get("net", {}).items():
        print(f"  {name:10} net {area['value_m2'] / 1e4:+12.2f} ha")
    print(f"caveats: {', '.join(record['caveats'])}")
    print(f"evidence {record['evidence_id'][:16]} in {args.out / 'evidence.json'}")


if __name__ == "__main__":
    run_command(main)
