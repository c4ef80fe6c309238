"""Evidence made by hand, for the tests of answers, of the checker, and of rephrasing; nothing here is measured."""

import random
from collections.abc import Iterator

from src.assistant.query import Query, Rank, ZoneRef
from src.assistant.record import Evidence, Figure, PatchRow, SceneUse, Table

T1, T2 = "2023-11-02", "2024-10-28"
TOWNS = ("青禾乡", "石桥镇", "云溪镇", "白鹤乡")
CLASSES = ("cropland", "garden", "forest", "grassland", "water", "built", "unused")
CAVEATS = ("SINGLE_PAIR", "UNCALIBRATED_AREA", "NEEDS_FIELD_CHECK", "LEGAL_NOT_ASSESSED")
MU = 2000 / 3


def scene(day: str, **fields) -> SceneUse:
    values = {"id": f"S2A_{day.replace('-', '')}", "date": day, "sensor": "sentinel2_l2a", "level": "L2A"}
    return SceneUse(**(values | {"clear_share": 0.93, "cloud_percent": 4.5} | fields))


SCENES = (scene(T1), scene(T2), scene("2024-09-18", used=False, why="cloudy", clear_share=0.31))
SEEN = Figure(key="seen", quantity="seen", value=0.93, dimension="share", t1=T1, t2=T2)
UNIT = Figure(key="mmu", quantity="unit", value=900.0, dimension="area")


def figure(
    key: str, quantity: str, value: float, dimension: str = "area", half: float | None = None, **fields
) -> Figure:
    """A figure of both dates; ``half``: half width of its range."""
    bounds = None if half is None else (value - half, value + half)
    kind = {"bounds_kind": "range"} if half is not None else {}
    dates = {"t1": T1, "t2": T2}
    return Figure(
        key=key, quantity=quantity, value=value, dimension=dimension, bounds=bounds, **(dates | kind | fields)
    )


def evidence(
    metric: str, figures: list[Figure] | tuple[Figure, ...] = (), query: dict | None = None, **fields
) -> Evidence:
    """A measured evidence with two scenes."""
    values = {
        "query": Query.of({"metric": metric} | (query or {})),
        "t1": "2023-12-31",
        "t2": "2024-12-31",
        "scenes": SCENES,
        "cards": tuple(one.key for one in figures[:3]),
        "caveats": CAVEATS,
        "method": {"change": "IR-MAD and CVA", "mask": "SCL"},
        "checks": {"gain_minus_loss_is_net": True},
        "inputs": "ab" * 32,
    }
    values |= fields
    days = [one.date for one in values["scenes"] if one.used]
    seen = SEEN.model_copy(update={"t1": days[0] if len(days) > 1 else None, "t2": days[-1]})
    return Evidence(figures=(*figures, seen, UNIT), **values)


def patch(number: int, rng: random.Random, **fields) -> PatchRow:
    area = rng.uniform(1000, 30_000)
    values = {
        "id": f"510723-20241028-20-{number:05d}",
        "area_m2": area,
        "bounds": (area * 0.8, area * 1.2),
        "lon": round(rng.uniform(105.1, 105.9), 5),
        "lat": round(rng.uniform(31.1, 31.9), 5),
        "t1": T1,
        "t2": T2,
        "from_cls": "cropland",
        "to_cls": "built",
        "kind": "20",
        "grade": rng.choice("ABC"),
        "confidence": 0.7,
        "town": rng.choice(TOWNS),
        "sector": "NE",
    }
    return PatchRow(**(values | fields))


def gain(rng: random.Random, cls: str = "cropland", lang: str = "zh", *, sampled: bool = False, **query) -> Evidence:
    inflow, outflow = rng.uniform(2e5, 4e6), rng.uniform(2e5, 4e6)
    spread = {"bounds_kind": "ci95", "n_samples": rng.randint(100, 900)} if sampled else {}
    figures = [
        figure("gain", "gain", inflow, half=inflow * rng.uniform(0.05, 0.3), cls=cls, **spread),
        figure("loss", "loss", outflow, half=outflow * rng.uniform(0.05, 0.3), cls=cls, **spread),
        figure("net", "net", inflow - outflow, half=2e5, cls=cls),
    ]
    if sampled:
        figures.append(figure("gain.pixel", "gain", inflow * 0.87, cls=cls, kind="pixel"))
    shares = (0.52, 0.31, 0.17)
    others = [one for one in ("forest", "grassland", "garden", "built") if one != cls][:3]
    for other, share in zip(others, shares, strict=True):
        fields = {"from_cls": other, "to_cls": cls}
        figures.append(figure(f"from.{other}", "transition", inflow * share, half=inflow * share * 0.2, **fields))
        figures.append(figure(f"from.{other}.share", "transition", share, "share", **fields))
    for town, share in zip(TOWNS, (0.41, 0.27, 0.22, 0.1), strict=True):
        figures.append(figure(f"town.{town}", "gain", inflow * share, half=inflow * share * 0.3, cls=cls, place=town))
    figures += patches_of(rng, rng.randint(4, 40))
    return evidence("gain", figures, {"cls": cls, "lang": lang} | query)


def patches_of(rng: random.Random, n: int) -> list[Figure]:
    total = n * rng.uniform(2000, 9000)
    return [
        figure("patches", "patches", n, "count"),
        figure("patches.area", "patches", total, half=total * 0.2),
    ]


def loss(rng: random.Random, cls: str = "cropland", lang: str = "zh", **query) -> Evidence:
    inflow, outflow = rng.uniform(2e5, 4e6), rng.uniform(2e5, 4e6)
    figures = [
        figure("loss", "loss", outflow, half=outflow * 0.21, cls=cls),
        figure("gain", "gain", inflow, half=inflow * 0.19, cls=cls),
        figure("net", "net", inflow - outflow, half=3e5, cls=cls),
    ]
    for other, share in zip(("built", "grassland", "water"), (0.6, 0.28, 0.12), strict=True):
        figures.append(
            figure(f"to.{other}", "transition", outflow * share, half=outflow * share * 0.2, from_cls=cls, to_cls=other)
        )
        figures.append(figure(f"to.{other}.share", "transition", share, "share", from_cls=cls, to_cls=other))
    return evidence("loss", figures, {"cls": cls, "lang": lang} | query)


def net(rng: random.Random, cls: str = "forest", lang: str = "zh", **query) -> Evidence:
    inflow, outflow = rng.uniform(2e5, 4e6), rng.uniform(2e5, 4e6)
    change = inflow - outflow
    figures = [
        figure("net", "net", change, half=abs(change) * rng.uniform(0.3, 1.6), cls=cls),
        figure("gain", "gain", inflow, half=inflow * 0.17, cls=cls),
        figure("loss", "loss", outflow, half=outflow * 0.22, cls=cls),
        figure("net.share", "net", change / 9e7, "share", cls=cls),
    ]
    for town, share in zip(TOWNS, (0.41, 0.3, -0.2, 0.1), strict=True):
        figures.append(figure(f"town.{town}.net", "net", change * share, half=abs(change) * 0.1, cls=cls, place=town))
    return evidence("net", figures, {"cls": cls, "lang": lang} | query)


def area_at(rng: random.Random, cls: str = "cropland", lang: str = "zh", **query) -> Evidence:
    size, share = rng.uniform(3e7, 9e8), rng.uniform(0.1, 0.6)
    fields = {"cls": cls, "t1": None}
    figures = [
        figure("state", "state", size, half=size * 0.06, **fields),
        figure("state.share", "state", share, "share", half=share * 0.06, **fields),
    ]
    for town, part in zip(TOWNS, (0.4, 0.3, 0.2, 0.1), strict=True):
        figures.append(figure(f"town.{town}", "state", size * part, half=size * part * 0.08, place=town, **fields))
    return evidence(
        "area_at", figures, {"cls": cls, "lang": lang} | query, t1=None, scenes=(scene(T2),), caveats=CAVEATS[1:2]
    )


def transition(rng: random.Random, lang: str = "zh", **query) -> Evidence:
    size, pair = rng.uniform(1e5, 2e6), {"from_cls": "cropland", "to_cls": "built"}
    figures = [
        figure("transition", "transition", size, half=size * 0.24, **pair),
        figure("transition.share", "transition", rng.uniform(0.2, 0.9), "share", **pair),
        *patches_of(rng, 12),
    ]
    rows = tuple(patch(number, rng) for number in range(1, 6))
    return evidence("transition", figures, pair | {"lang": lang} | query, patches=rows)


def structure(rng: random.Random, lang: str = "zh", **query) -> Evidence:
    shares = [rng.uniform(0.03, 0.3) for _ in CLASSES]
    total, figures = 4e8, []
    for cls, share in zip(CLASSES, shares, strict=True):
        change = rng.uniform(-4e6, 4e6)
        figures.append(figure(f"net.{cls}", "net", change, half=abs(change) * rng.uniform(0.2, 1.4), cls=cls))
        now = share / sum(shares)
        figures.append(figure(f"share.{cls}.t1", "state", now - change / total, "share", cls=cls, t1=None, t2=T1))
        figures.append(figure(f"share.{cls}.t2", "state", now, "share", cls=cls, t1=None))
    return evidence("structure", figures, {"lang": lang} | query)


def patches(rng: random.Random, lang: str = "zh", n: int = 7, **query) -> Evidence:
    rows = tuple(patch(number, rng) for number in range(1, n + 1))
    total = sum(row.area_m2 for row in rows)
    figures = [figure("patches", "patches", n, "count"), figure("area", "patches", total, half=total * 0.2)]
    for grade in "ABC":
        count = sum(row.grade == grade for row in rows)
        figures.append(figure(f"grade.{grade}", "patches", count, "count", kind=grade))
    figures += spread_of(rng, rows)
    return evidence("patches", figures, {"to_cls": "built", "lang": lang} | query, patches=rows)


def spread_of(rng: random.Random, rows: tuple[PatchRow, ...]) -> list[Figure]:
    """By type and direction, and what is not among the patches, as the metrics tell them."""
    if not rows:
        return []
    total = sum(row.area_m2 for row in rows)
    parts = [rng.uniform(0.01, 1) for _ in range(4)]
    figures = [
        figure("type.20.count", "patches", len(rows), "count", kind="20"),
        figure("type.20.area", "patches", total, half=total * 0.2, kind="20"),
        figure("below.count", "patches", rng.randint(12, 90), "count", kind="below_mmu"),
        figure("same.count", "patches", rng.randint(100, 300), "count", kind="same_class"),
        figure("same.area", "patches", rng.uniform(3e5, 9e5), kind="same_class"),
    ]
    for sector, part in zip(("NE", "E", "S", "SW"), parts, strict=True):
        figures.append(figure(f"sector.{sector}", "patches", part / sum(parts), "share", kind=sector))
    return figures


def overlap(rng: random.Random, lang: str = "zh", n: int = 3, **query) -> Evidence:
    name = "盘山自然保护区" if lang == "zh" else "Panshan reserve"
    rows = tuple(patch(number, rng, zones=("reserve",)) for number in range(1, n + 1))
    # The first lies inside as a whole.
    shares = (1.0, *(0.6 for _ in rows[1:]))
    rows = tuple(
        row.model_copy(update={"overlap_m2": row.area_m2 * share}) for row, share in zip(rows, shares, strict=False)
    )
    inside = sum(row.overlap_m2 or 0 for row in rows)
    figures = [figure("patches", "patches", n, "count")]
    if n:
        figures += [
            figure("overlap", "overlap", inside, half=inside * 0.25),
            figure("overlap.share", "overlap", inside / 9e7, "share"),
            figure("overlap.interior", "overlap", inside * 0.83, kind="interior"),
            figure("zone", "zone", 9e7, t1=None, t2=None),
            *spread_of(rng, rows),
            figure("overlap.core", "overlap", inside * 0.3, kind="core"),
            figure("overlap.buffer", "overlap", inside * 0.7, kind="buffer"),
        ]
    zone = ZoneRef(type="reserve").model_dump()
    return evidence("overlap", figures, {"zone": zone, "lang": lang} | query, patches=rows, place=name)


def trend(rng: random.Random, lang: str = "zh", **query) -> Evidence:
    days = ("2019-10-06", "2020-10-10", "2021-10-05", "2022-10-20", T2)
    start, step = rng.uniform(2e7, 6e7), rng.uniform(-2e6, 3e6)
    figures = []
    for year, day in enumerate(days):
        value = start + year * step
        figures.append(figure(f"s{day}", "series", value, half=value * 0.05, cls="built", t1=None, t2=day))
    dates = {"cls": "built", "t1": days[0], "t2": T2}
    figures.append(figure("slope", "slope", step, "area_per_year", half=1e6, **dates))
    figures.append(figure("r2", "slope", rng.uniform(0.5, 0.99), "index", kind="r2", decimals=2, **dates))
    figures.append(figure("net", "net", 4 * step, half=4e6, **dates))
    scenes = tuple(scene(day, why="series") for day in days)
    return evidence("trend", figures, {"cls": "built", "lang": lang} | query, scenes=scenes, t1="2018-12-31")


def rank(rng: random.Random, lang: str = "zh", **query) -> Evidence:
    values = sorted(rng.uniform(-5e5, 2e5) for _ in TOWNS)
    figures = [
        figure(f"town.{town}.net", "net", value, half=8e4, cls="cropland", place=town)
        for town, value in zip(TOWNS, values, strict=True)
    ]
    asked = {"cls": "cropland", "group_by": "town", "rank": Rank(n=3, order="asc").model_dump(), "lang": lang}
    return evidence("rank", figures, asked | query)


def compare(rng: random.Random, lang: str = "zh", **query) -> Evidence:
    first, second = rng.uniform(2e5, 9e5), rng.uniform(2e5, 9e5)
    fields = {"cls": "built"}
    figures = [
        figure("first", "gain", first, half=first * 0.2, place=TOWNS[0], **fields),
        figure("second", "gain", second, half=second * 0.2, place=TOWNS[1], **fields),
        figure("difference", "difference", first - second, half=first * 0.2 + second * 0.2, **fields),
    ]
    return evidence("compare", figures, {"cls": "built", "compare": "zones", "lang": lang} | query)


def accuracy(rng: random.Random, lang: str = "zh", **query) -> Evidence:
    value = rng.uniform(0.75, 0.95)
    fields = {"t1": None, "t2": T2}
    figures = [
        figure("overall", "accuracy", value, "share", half=0.018, kind="overall", bounds_kind="ci95", **fields),
        figure("kappa", "accuracy", value - 0.06, "index", kind="kappa", **fields),
        figure("samples", "samples", rng.randint(300, 5000), "count", **fields),
    ]
    for cls in CLASSES:
        figures.append(
            figure(f"user.{cls}", "accuracy", rng.uniform(0.6, 0.98), "share", cls=cls, kind="user", **fields)
        )
    return evidence("accuracy", figures, {"lang": lang} | query)


def matrix(rng: random.Random, lang: str = "zh", **query) -> Evidence:
    figures = [
        figure(f"{before}.{after}", "transition", rng.uniform(1e5, 3e6), from_cls=before, to_cls=after)
        for before in CLASSES
        for after in CLASSES
    ]
    table = Table(
        name="matrix", columns=("", *CLASSES), rows=tuple((one, *(f"{one}.{to}" for to in CLASSES)) for one in CLASSES)
    )
    return evidence("matrix", figures, {"lang": lang} | query, tables=(table,))


BUILDERS = (gain, loss, net, area_at, transition, structure, patches, overlap, trend, rank, compare, accuracy, matrix)


def measured(seed: int, rounds: int = 1) -> Iterator[Evidence]:
    """Evidence of every builder in both languages, with several units, as often as asked."""
    rng = random.Random(seed)
    for _ in range(rounds):
        for build in BUILDERS:
            for lang in ("zh", "en"):
                yield build(rng, lang=lang, unit=rng.choice((None, "mu", "ha", "km2")))
