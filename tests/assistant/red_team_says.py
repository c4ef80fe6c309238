"""True statements about evidence in Chinese and English, built from its figures alone."""

import random
from collections.abc import Iterator

from tests.assistant.red_team import KINDS, PARTS, ZONES, Number, Record, Statement, Word, write
from tests.assistant.red_team_phrases import (
    FLOW,
    INSIDE,
    INVENTED,
    KIND,
    OVERLAP,
    PATCH,
    PATCHES,
    RANK,
    SCENES,
    SIDES,
    SLOPE,
    SMALL,
    SOURCE,
    SPAN,
    STATE,
    TARGET,
    TRANSITION,
    TREND,
    TRIPLE,
    VERDICTS,
)


class Teller:
    """Makes true statements of one record."""

    def __init__(self, evidence: dict, rng: random.Random) -> None:
        self.evidence, self.rng = evidence, rng
        self.lang = evidence["query"]["lang"]
        self.record = Record(evidence)
        self.figures = evidence["figures"]
        pairs = {(one["t1"], one["t2"]) for one in self.figures if one["t1"] and one["t2"]}
        days = {one["t2"] for one in self.figures if one["t2"]}
        self.one_pair = (
            len(pairs) <= 1
            and (pairs or len(days) == 1)
            and not any(one["quantity"] in ("state", "series") and pairs for one in self.figures)
        )
        self.zone = evidence["place"]

    def all(self) -> list[Statement]:
        """One round of statements, each kind that the record has."""
        made = [
            *self._flows(),
            *self._transitions(),
            *self._states(),
            *self._patches(),
            *self._overlap(),
            *self._others(),
        ]
        return [one for one in made if one is not None]

    def _say(
        self,
        table: dict,
        numbers: dict[str, dict],
        words: dict[str, Word],
        days: tuple = (),
        values: dict | None = None,
    ) -> Statement:
        rng = self.rng
        template = rng.choice([one for one in table[self.lang] if self._fits(one, numbers, words, days)])
        plain = template.startswith("|")
        slots: dict = {name: word for name, word in words.items() if f"{{{name}}}" in template}
        for name, figure in numbers.items():
            if f"{{{name}}}" in template:
                slots[name] = write(figure, self.lang, rng, (values or {}).get(name), plain)
        self._second_unit(slots, numbers)
        self._like_units(slots, numbers)
        form = rng.randrange(6)
        slots |= {f"d{at or ''}": Word("date", one, form) for at, one in days if f"{{d{at or ''}}}" in template}
        return Statement(template, slots, {name: numbers[name] for name in slots if name in numbers})

    def _fits(self, template: str, numbers: dict, words: dict, days: tuple) -> bool:
        names = {part.split("}")[0] for part in template.split("{")[1:]}
        known = set(numbers) | set(words) | {f"d{at or ''}" for at, _ in days}
        return names <= known and (
            self.one_pair or not days or any(name[0] == "d" and name[1:].isdigit() or name == "d" for name in names)
        )

    def _second_unit(self, slots: dict, numbers: dict) -> None:
        if "n2" in slots:
            for _ in range(50):
                other = write(numbers["n2"], self.lang, self.rng)
                if other.unit != slots["n"].unit and other.style == "digits":
                    break
            slots["n2"] = other

    def _like_units(self, slots: dict, numbers: dict) -> None:
        """Bounds are written as their figure is: same unit, no finer."""
        for name, end in (("lo", 0), ("hi", 1)):
            if name in slots:
                bounds = sorted(abs(one) for one in numbers[name]["bounds"])
                like = slots["n"]
                slots[name] = Number(
                    bounds[end], like.dimension, like.unit, like.finest, like.finest, "digits", like.word
                )

    def _place(self, figure: dict) -> Word:
        return Word("place", figure["place"] or "", self.rng.randrange(3))

    def _cls(self, key: str, kind: str = "cls") -> Word:
        return Word(kind, key, self.rng.randrange(3))

    def _flow(self, figure: dict) -> Word:
        key = figure["quantity"]
        if key == "net":
            key = "up" if figure["value"] > 0 else "down"
        return Word("flow", key, self.rng.randrange(3))

    def _flows(self) -> Iterator[Statement]:
        groups: dict = {}
        for figure in self.figures:
            if figure["quantity"] not in ("gain", "loss", "net") or figure["dimension"] != "area":
                continue
            words = {"place": self._place(figure), "cls": self._cls(figure["cls"]), "flow": self._flow(figure)}
            days = ((1, figure["t1"]), (2, figure["t2"]))
            yield self._say(FLOW, {"n": figure, "n2": figure}, words, days)
            bounds = figure["bounds"]
            if bounds and bounds[0] * bounds[1] >= 0 and self.one_pair:
                yield self._say(SPAN, {"n": figure, "lo": figure, "hi": figure}, words)
            groups.setdefault((figure["cls"], figure["place"], figure["t1"]), {})[figure["quantity"]] = figure
        for three in groups.values():
            if len(three) == 3:
                net = three["net"]
                words = {"place": self._place(net), "cls": self._cls(net["cls"]), "flow": self._flow(net)}
                yield self._say(
                    TRIPLE, {"g": three["gain"], "l": three["loss"], "n": net}, words, ((1, net["t1"]), (2, net["t2"]))
                )

    def _transitions(self) -> Iterator[Statement]:
        shares = {
            (one["from_cls"], one["to_cls"]): one
            for one in self.figures
            if one["quantity"] == "transition" and one["dimension"] == "share"
        }
        asked = self.evidence["query"]
        for figure in self.figures:
            before, after = figure["from_cls"], figure["to_cls"]
            if (
                figure["quantity"] != "transition"
                or figure["dimension"] != "area"
                or not (before and after)
                or before == after
                or figure["value"] < 300
            ):
                continue
            words = {"from": self._cls(before, "from"), "to": self._cls(after, "to"), "place": self._place(figure)}
            yield self._say(TRANSITION, {"n": figure, "n2": figure}, words, ((1, figure["t1"]), (2, figure["t2"])))
            share = shares.get((before, after))
            if share:
                table = SOURCE if asked["metric"] == "gain" else TARGET
                yield self._say(table, {"s": share, "n": figure}, words)

    def _states(self) -> Iterator[Statement]:
        shares = {
            (one["cls"], one["t2"]): one
            for one in self.figures
            if one["quantity"] in ("state", "series") and one["dimension"] == "share"
        }
        series: dict = {}
        for figure in self.figures:
            if figure["quantity"] not in ("state", "series") or figure["dimension"] != "area" or figure["place"]:
                continue
            words = {"place": self._place(figure), "cls": self._cls(figure["cls"])}
            numbers = {"n": figure, "n2": figure, "s": shares[figure["cls"], figure["t2"]]}
            yield self._say(STATE, numbers, words, ((0, figure["t2"]),))
            series.setdefault(figure["cls"], []).append(figure)
        for cls, states in series.items():
            if len(states) > 1:
                first, second = sorted(self.rng.sample(states, 2), key=lambda one: one["t2"])
                yield self._say(
                    TREND, {"a": first, "b": second}, {"cls": self._cls(cls)}, ((1, first["t2"]), (2, second["t2"]))
                )

    def _patches(self) -> Iterator[Statement]:
        for patch in self.evidence["patches"]:
            area = {"value": patch["area_m2"], "bounds": patch["bounds"], "dimension": "area", "quantity": "patch"}
            words = {
                "id": Word("patch", patch["id"]),
                "town": Word("place", patch["town"]),
                "grade": Word("grade", patch["grade"]),
            }
            words |= {"from": self._cls(patch["from_cls"], "from"), "to": self._cls(patch["to_cls"], "to")}
            if patch["town"]:
                yield self._say(PATCH, {"n": area, "n2": area}, words)
        find = {one["key"]: one for one in self.figures}
        count, area = find.get("patches.count"), find.get("patches.area")
        if count and area:
            yield self._say(PATCHES, {"c": count, "n": area, "n2": area}, {}, ((1, count["t1"]), (2, count["t2"])))
        for kind in KINDS[self.lang]:
            if f"type.{kind}.count" in find:
                yield self._say(KIND, {"c": find[f"type.{kind}.count"]}, {"kind": Word("kind", kind)})
        if "below_mmu.count" in find:
            yield self._say(SMALL, {"c": find["below_mmu.count"]}, {})

    def _overlap(self) -> Iterator[Statement]:
        find = {one["key"]: one for one in self.figures}
        if "overlap" not in find:
            return
        zone = Word("zone", ZONES[self.lang][self.zone])
        one = find["overlap"]
        yield self._say(
            OVERLAP, {"n": one, "n2": one, "s": find["overlap.share"], "c": find["patches.count"]}, {"zone": zone}
        )
        for part, name in PARTS[self.lang].items():
            figure = find.get(f"part.{part}")
            if figure and figure["value"]:
                yield self._say(INSIDE, {"n": figure}, {"part": Word("part", name)})

    def _others(self) -> Iterator[Statement]:
        find = {one["key"]: one for one in self.figures}
        if "slope" in find:
            yield self._say(
                SLOPE, {"n": find["slope"], "r": find["slope.r2"]}, {"cls": self._cls(find["slope"]["cls"])}
            )
        if "difference" in find:
            one, other = find["side1"], find["side2"]
            days = ((1, one["t1"]), (2, one["t2"]), (3, other["t1"]), (4, other["t2"]))
            yield self._say(
                SIDES, {"a": one, "b": other, "n": find["difference"]}, {"cls": self._cls(one["cls"])}, days
            )
        towns = sorted(
            (one for one in self.figures if one["place"] and one["quantity"] in ("net", "loss")),
            key=lambda one: one["value"],
        )
        if self.evidence["query"]["metric"] == "rank" and len(towns) == 2:
            top = sorted(towns, key=lambda one: -abs(one["value"]))
            words = {
                "place": self._place(top[0]),
                "cls": self._cls(top[0]["cls"]),
                "flow": self._flow(top[0]),
                "other": self._place(top[1]),
            }
            yield self._say(RANK, {"a": top[0], "b": top[1]}, words)
        used = [one["date"] for one in self.evidence["scenes"] if one["used"]]
        if len(used) == 2:
            seen, unit = find["seen"], find["unit"]
            yield self._say(SCENES, {"s": seen, "m": unit}, {}, ((1, min(used)), (2, max(used))))


def lies_in_words(evidence: dict, lang: str) -> list[tuple[str, str]]:
    """Sentences that no evidence of these questions supports: verdicts, invented figures, false comparisons."""
    made = [("verdict", one) for one in VERDICTS[lang]] + [("invented", one) for one in INVENTED[lang]]
    find = {one["key"]: one for one in evidence["figures"]}
    if "gain" in find and "loss" in find:
        more, less = ("流入", "流出") if find["gain"]["value"] < find["loss"]["value"] else ("流出", "流入")
        cls = find["gain"]["cls"]
        if lang == "zh" and cls == "cropland":
            made += [
                ("comparison", f"耕地{more}大于{less}。"),
                ("comparison", f"耕地{more}比{less}多。"),
                ("comparison", f"耕地{more}面积超过{less}面积。"),
            ]
        elif cls == "cropland":
            more, less = ("gain", "loss") if more == "流入" else ("loss", "gain")
            made += [
                ("comparison", f"The {more} of cropland was larger than the {less}."),
                ("comparison", f"The {more} of cropland exceeded the {less}."),
            ]
    return made
