"""Reference samples in place of pixel counts: error-adjusted areas with their 95 % intervals.

A sheet counts where it was drawn from the very rasters of the measurement
(``python -m src.geo.sampling draw``); it stands for the whole of them, so it is
used for the whole county alone. The pixel count stays beside it (kind "pixel").
"""

from collections.abc import Sequence
from pathlib import Path

from src.assistant.county import County, Place
from src.assistant.record import Figure
from src.constants import LAND_CLASSES
from src.geo.bounds import net_bounds
from src.geo.evidence import file_digest
from src.geo.sampling import estimate_sample, read_sample

# Codes of a gain-and-loss sheet.
_FLOWS = {2: "loss", 3: "gain"}
# Quantity, class, acquisition date of a state or "" -> lower, estimate, upper, samples.
Adjusted = dict[tuple[str, str, str], tuple[float, float, float, int]]


def adjusted_areas(county: County, place: Place, maps: dict[str, Path]) -> Adjusted:
    """Estimates of all sheets drawn from these maps.

    Args:
        county: whose sheets.
        place: asked about; only the county has estimates.
        maps: class rasters by acquisition date.

    Raises:
        InputError: a sheet has faults.
    """
    sheets = county.workspace.samples() if place.kind == "county" else {}
    if not sheets:
        return {}
    days = {file_digest(path): day for day, path in maps.items()}
    found: Adjusted = {}
    for path in sheets.values():
        design, answers = read_sample(path)
        if not all(entry.get("sha256") in days for entry in design.maps):
            continue
        estimate = estimate_sample(design, answers)
        for row in estimate.classes:
            area = (row.low_m2, row.area_m2, row.high_m2, estimate.samples)
            if design.kind == "landcover":
                found["state", LAND_CLASSES[row.code], days[design.maps[0]["sha256"]]] = area
            elif design.kind == "gain_loss" and design.focus is not None and row.code in _FLOWS:
                found[_FLOWS[row.code], LAND_CLASSES[design.focus], ""] = area
    for cls in {cls for quantity, cls, _ in found if quantity in _FLOWS.values()}:
        gain, loss = found.get(("gain", cls, "")), found.get(("loss", cls, ""))
        if gain is not None and loss is not None:
            low, high = net_bounds(gain[1], (gain[0], gain[2]), loss[1], (loss[0], loss[2]))
            found["net", cls, ""] = low, gain[1] - loss[1], high, gain[3]
    return found


def with_samples(figures: Sequence[Figure], adjusted: Adjusted) -> list[Figure]:
    """Figures of the whole county with their estimates, and the pixel counts behind them."""
    result = []
    for one in figures:
        day = (one.t2 or "") if one.quantity == "state" else ""
        area = adjusted.get((one.quantity, one.cls or "", day))
        if area is None or one.place is not None or one.dimension != "area":
            result.append(one)
            continue
        low, value, high, count = area
        # Gain and loss come from one sample, so the bounds of their difference are no exact interval.
        kind = "range" if one.quantity == "net" else "ci95"
        update = {"value": value, "bounds": (low, high), "bounds_kind": kind, "n_samples": count}
        pixels = {"key": f"{one.key}.pixel", "kind": "pixel", "bounds": None, "bounds_kind": None}
        result += [one.model_copy(update=update), one.model_copy(update=pixels)]
    return result
