"""English clauses of the honest paraphrases: one true sentence for each kind of figure, in several wordings."""

from collections.abc import Callable

from src.assistant.record import Figure
from tests.assistant.paraphrase_words import Teller


def _en_gain(t: Teller, f: Figure) -> str:
    if f.kind == "pixel":
        return ""
    place, cls, value = t.place(f), t.cls(f.cls), t.area(f.value)
    words = t.one(
        f"{place} gained {value} of {cls}",
        f"new {cls} in {place} comes to {value}",
        f"{value} of new {cls} appeared in {place}",
    )
    return t.pair(f) + words + t.bounds(f)


def _en_loss(t: Teller, f: Figure) -> str:
    place, cls, value = t.place(f), t.cls(f.cls), t.area(f.value)
    words = t.one(f"{place} lost {value} of {cls}", f"the loss of {cls} in {place} is {value}")
    return t.pair(f) + words + t.bounds(f)


def _en_net(t: Teller, f: Figure) -> str:
    place, cls, value = t.place(f), t.cls(f.cls), t.area(f.value)
    up = f.value > 0
    words = t.one(
        f"{cls} in {place} shows a net {'gain' if up else 'loss'} of {value}",
        f"{cls} in {place} {'grew' if up else 'shrank'} by a net {value}",
        f"the net change of {cls} in {place} is a {'gain' if up else 'loss'} of {value}",
        f"on balance {place} has {value} {'more' if up else 'less'} {cls}",
    )
    return t.pair(f) + words + t.bounds(f)


def _en_state(t: Teller, f: Figure) -> str:
    place, cls, value, when = t.place(f), t.cls(f.cls), t.area(f.value), t.day(f.t2 or "")
    return t.one(f"on {when} {cls} in {place} covered {value}", f"{place} had {value} of {cls} on {when}") + t.bounds(f)


def _en_state_share(t: Teller, f: Figure) -> str:
    cls, value, when = t.cls(f.cls), t.share(f.value), t.day(f.t2 or "")
    return t.one(
        f"on {when} {cls} made up {value} of {t.place(f)}", f"the share of {cls} on {when} was {value}"
    ) + t.bounds(f)


def _en_transition(t: Teller, f: Figure) -> str:
    if not f.from_cls or not f.to_cls or f.from_cls == f.to_cls:
        return ""
    before, after, value = t.cls(f.from_cls), t.cls(f.to_cls), t.area(f.value)
    place = f" in {t.place(f)}" if t.has_towns or t.rng.random() < 0.5 else ""
    words = t.one(
        f"{value} of {before} turned into {after}{place}",
        f"{before} converted to {after}{place}: {value}",
        f"suspected change from {before} to {after}{place} comes to {value}",
    )
    return words + t.bounds(f)


def _en_patches(t: Teller, f: Figure) -> str:
    n = f"{f.value:.0f}"
    if f.kind in ("A", "B", "C"):
        return f"{n} of them are grade {f.kind}" if f.value else ""
    if f.kind or not f.value:
        return ""
    return t.one(f"{n} suspected patches were found in {t.place(f)}", f"there are {n} suspected patches")


def _en_overlap(t: Teller, f: Figure) -> str:
    value = t.area(f.value)
    if f.kind in ("core", "buffer", "experimental"):
        return f"{value} lies in the {f.kind} zone"
    return t.one(f"suspected patches overlap {t.place(f)} by {value}", f"{value} lies inside {t.place(f)}") + t.bounds(
        f
    )


def _en_slope(t: Teller, f: Figure) -> str:
    return f"{t.cls(f.cls)} {'grew' if f.value > 0 else 'shrank'} by {t.area(f.value)} a year"


EN: dict[tuple[str, str], Callable[[Teller, Figure], str]] = {
    ("gain", "area"): _en_gain,
    ("loss", "area"): _en_loss,
    ("net", "area"): _en_net,
    ("state", "area"): _en_state,
    ("series", "area"): _en_state,
    ("state", "share"): _en_state_share,
    ("transition", "area"): _en_transition,
    ("patches", "count"): _en_patches,
    ("patches", "area"): lambda t, f: f"the suspected patches cover {t.area(f.value)} together" + t.bounds(f),
    ("overlap", "area"): _en_overlap,
    ("slope", "area_per_year"): _en_slope,
    ("difference", "area"): lambda t, f: (
        f"{t.sides[0]} gained {t.area(f.value)} {'more' if f.value > 0 else 'less'} than {t.sides[1]}"
    ),
    ("seen", "share"): lambda t, f: t.one(
        f"{t.share(f.value)} was seen clearly", f"the clear share is {t.share(f.value)}"
    ),
    ("unit", "area"): lambda t, f: f"the smallest patch that can be seen is {t.area(f.value)}",
    ("samples", "count"): lambda t, f: f"{f.value:.0f} test samples were used",
    ("accuracy", "share"): lambda t, f: (
        f"overall accuracy is {t.share(f.value)}" + t.bounds(f)
        if f.kind == "overall"
        else f"the user's accuracy of {t.cls(f.cls)} is {t.share(f.value)}"
    ),
    ("accuracy", "index"): lambda t, f: f"kappa is {f.value:.3f}",
}
