"""Whether a claim of a text agrees with a number of the evidence, and if not, in what it differs."""

from collections.abc import Iterable

from src.assistant.checking.facts import Fact, Facts
from src.assistant.checking.segments import Claim
from src.assistant.checking.tokens import Token
from src.assistant.checking.values import plausible, value_part
from src.assistant.checking.when import date_fits
from src.assistant.checking.words import NEEDS_WORD, QUANTITY_WORDS

# Facts that are about the images, the method or the question, not about a class or a place.
_ABOUT_ALL = frozenset(
    {
        "seen",
        "cloud",
        "unit",
        "samples",
        "interval_samples",
        "confidence",
        "radius",
        "point",
        "method",
        "rows",
        "count",
        "period",
        "towns",
        "converted",
    }
)
_SIGNED = frozenset({"net", "difference", "slope", "rate"})
_OWN_NOUN = frozenset({"dates", "classes", "towns", "samples", "pixels"})
_WHOLES = ("inflow", "outflow", "new")
_KINDS = ("type", "grade", "accuracy", "sector", "index", "measure", "part")


def candidates(claim: Claim, facts: Facts) -> Iterable[tuple[Fact, str, list[str]]]:
    """Facts whose value agrees with a claim's number: (fact, part of it, kinds in which the words differ)."""
    for fact in plausible(claim.number, facts):
        part = value_part(claim, fact)
        if part:
            yield fact, part, differences(claim, fact, part, facts)


def differences(claim: Claim, fact: Fact, part: str, facts: Facts) -> list[str]:
    """Kinds in which the words around a number contradict a fact; empty where it stands."""
    found = []
    if not _unit_fits(claim, fact):
        found.append("unit")
    if not _quantity_fits(claim, fact):
        found.append("quantity")
    if not _sign_fits(claim, fact, part, facts):
        found.append("sign")
    if not _class_fits(claim, fact, facts):
        found.append("class")
    if not _place_fits(claim, fact, facts):
        found.append("place")
    if not date_fits(claim, fact, facts):
        found.append("date")
    if not _patch_fits(claim, fact):
        found.append("patch")
    if not _kind_fits(claim, fact, facts):
        found.append("kind")
    if {"ci", "ci95"} & set(claim.marks) and part != "value" and fact.interval != "ci95":
        found.append("interval")
    return found


def _unit_fits(claim: Claim, fact: Fact) -> bool:
    number = claim.number
    yearly = number.per_year or any(
        one.value in ("slope", "rate") for one in (*claim.own.get("qty", ()), *claim.near.get("qty", ()))
    )
    if fact.dimension.endswith("_per_year"):
        if not yearly:
            return False
    elif number.per_year or (
        fact.dimension == "area" and any(one.value == "slope" for one in claim.own.get("qty", ()))
    ):
        return False
    if fact.dimension == "count":
        if fact.noun in _OWN_NOUN:
            named = fact.noun == "samples" and "samples" in _names(claim.own.get("qty", ()))
            return number.noun == fact.noun or named
        if number.noun in _OWN_NOUN:
            return False
        return fact.quantity != "rows" or "top" in claim.marks
    return True


def _names(words: Iterable[Token]) -> list[str]:
    return [one.value for one in words]


def _quantity_fits(claim: Claim, fact: Fact) -> bool:
    own, near, far = (_names(scope.get("qty", ())) for scope in (claim.own, claim.near, claim.far))
    quantity = fact.quantity
    if quantity in ("count", "rows", "method", "point"):
        return True
    strict = own or (near if "area" not in claim.marks else [])
    compared = quantity in ("difference", "net") and {"more", "less", "difference"} & set(own)
    for name in strict:
        if name != "change" and not compared and quantity not in QUANTITY_WORDS[name][0]:
            return False
    if quantity not in NEEDS_WORD:
        return True
    if quantity == "transition" and claim.roles:
        return True
    if quantity == "unit" and claim.number.mode and set(own) <= {"change", "patch"}:
        return True
    plain = ("share",) if quantity in ("gain", "loss", "net") else ("patch",) if quantity == "unit" else ()
    weak = (*plain, "change") if quantity in ("gain", "loss", "transition") else plain
    said = [*own, *near, *(far if not own or set(own) <= {"share", "change", "patch", "overlap"} else ())]
    return any(quantity in QUANTITY_WORDS[name][0] for name in said if name not in weak)


def _direction(claim: Claim) -> int:
    """What the words say of the sign: of the clause, else of what comes before in the sentence."""
    for scope in (claim.own, claim.near):
        directions = {QUANTITY_WORDS[one.value][1] for one in scope.get("qty", ())} - {0}
        if directions:
            turned = (
                "first_side" in claim.marks
                and "second_side" in claim.marks
                and claim.marks.index("second_side") < claim.marks.index("first_side")
            )
            return directions.pop() * (-1 if turned else 1) if len(directions) == 1 else 0
    return 0


def _difference_direction(claim: Claim, facts: Facts) -> int:
    """Whether the first of two compared things has more or less, turned where the text names the second one first."""
    found = {
        QUANTITY_WORDS[one.value][1]
        for scope in (claim.own, claim.near)
        for one in scope.get("qty", ())
        if one.value in ("more", "less")
    }
    if len(found) != 1:
        return _direction(claim)
    direction = found.pop()
    marks = claim.marks
    if "first_side" in marks and "second_side" in marks:
        return -direction if marks.index("second_side") < marks.index("first_side") else direction
    named = [one.value for one in claim.own.get("place", ())]
    order = [
        fact.place
        for fact in facts.numbers
        if fact.place and fact.quantity in ("gain", "loss", "net", "state", "patches", "transition")
    ]
    if len(named) == 2 and named[0] != named[1] and set(named) <= set(order):
        return direction if order.index(named[0]) < order.index(named[1]) else -direction
    return direction


def _flows_compared(claim: Claim) -> int:
    """Direction of "gained more than was lost" and the like; 0 where nothing is compared."""
    own = claim.own.get("qty", ())
    more = next((QUANTITY_WORDS[one.value][1] for one in own if one.value in ("more", "less")), 0)
    flows = [QUANTITY_WORDS[one.value][1] for one in own if one.value in ("inflow", "outflow")]
    before = [QUANTITY_WORDS[one.value][1] for one in claim.near.get("qty", ()) if one.value in ("inflow", "outflow")]
    if claim.previous is not None:
        before += [
            QUANTITY_WORDS[one.value][1]
            for one in claim.previous.own.get("qty", ())
            if one.value in ("inflow", "outflow")
        ]
    if not more or not flows:
        return 0
    first = flows[0] if len(flows) > 1 else before[-1] if before else -flows[0]
    return first * more


def _sign_fits(claim: Claim, fact: Fact, part: str, facts: Facts) -> bool:
    number, value = claim.number, fact.value
    if part in ("low", "high") and fact.bounds is not None:
        value = fact.bounds[part == "high"]
        if fact.bounds[1] <= 0 and claim.end:
            value = fact.value
    if part == "bounds":
        ends = {QUANTITY_WORDS[one.value][1] for one in claim.own.get("qty", ())} - {0}
        assert fact.bounds is not None
        return not (ends == {1} and fact.bounds[1] < 0) and not (ends == {-1} and fact.bounds[0] > 0)
    if fact.dimension in ("index", "degrees") and fact.quantity != "difference":
        return number.value * value >= 0
    direction = _difference_direction(claim, facts) if fact.quantity == "difference" else _direction(claim)
    if fact.quantity == "net":
        direction = _flows_compared(claim) or direction
    if fact.quantity not in _SIGNED:
        if number.sign < 0:
            return fact.quantity == "loss" or value < 0
        return not (number.sign > 0 and fact.quantity == "loss")
    if value == 0 or (fact.dimension == "share" and "base" in _names(claim.own.get("qty", ()))):
        return True
    if number.sign:
        return (value > 0) == (number.sign > 0) and (not direction or direction == number.sign)
    return (value > 0) == (direction > 0) if direction else value > 0


def _class_fits(claim: Claim, fact: Fact, facts: Facts) -> bool:
    own = [(one.value, claim.roles.get(one.start, "")) for one in claim.own.get("class", ())]
    inherited = [one.value for one in claim.words("class")] if not own else []
    if not fact.classes:
        if fact.quantity in _ABOUT_ALL or fact.quantity == "accuracy":
            return True
        return all(cls in facts.asked_classes for cls, _ in own)
    roles = {
        "from": fact.from_cls or (fact.cls if fact.quantity == "loss" else ""),
        "to": fact.to_cls or (fact.cls if fact.quantity == "gain" else ""),
    }
    for cls, role in own:
        if (
            cls not in fact.classes
            or (role and roles[role] and roles[role] != cls)
            or (role and not roles[role] and fact.quantity != "patch")
        ):
            return False
    if fact.patch:
        return True
    if not own and not inherited:
        return bool(fact.classes & facts.asked_classes)
    if inherited and not set(inherited) & fact.classes:
        # What a new sentence leaves open may go on with the class that was asked about.
        return bool(not claim.near.get("class") and not claim.headed and fact.classes & facts.asked_classes)
    if fact.from_cls and fact.to_cls:
        return _transition_fits(claim, fact, facts, own)
    return True


def _transition_fits(claim: Claim, fact: Fact, facts: Facts, own: list[tuple[str, str]]) -> bool:
    """Whether both classes are said, and the subject is on the side that the words give it."""
    subject = [one.value for one in claim.recent]
    said = {cls for cls, _ in own} | set(subject) | (set() if claim.topic else facts.asked_classes)
    if not {fact.from_cls, fact.to_cls} <= said:
        return False
    if len(own) == 2 and not claim.roles:
        return _whole_fits(claim, fact)
    if len(own) != 1 or own[0][1]:
        return True
    side = _side_of_subject(claim)
    if side:
        return own[0][0] == (fact.to_cls if side > 0 else fact.from_cls)
    if not subject or subject[-1] == own[0][0]:
        return True
    if not set(subject) & fact.classes:
        return False
    flows = {QUANTITY_WORDS[one.value][1] for one in claim.words("qty")} - {0}
    if flows == {1}:
        return fact.from_cls == own[0][0]
    return flows != {-1} or fact.to_cls == own[0][0]


def _whole_fits(claim: Claim, fact: Fact) -> bool:
    """Of two classes the one whose inflow or outflow is the whole: "草地占新增耕地的", "5% of new cropland"."""
    classes, flows = claim.own["class"], [one for one in claim.own.get("qty", ()) if one.value in _WHOLES]
    for cls in classes:
        for flow in flows:
            near = flow.start - cls.end in (0, 1, *_ENGLISH_GAPS)
            near = near and not any(cls.end <= one.start < flow.start for one in classes)
            behind = near and not any(0 <= one.start - flow.end <= 1 for one in classes)
            front = flow.value == "new" and 0 <= cls.start - flow.end <= 1
            if behind or front:
                return cls.value == (fact.from_cls if flow.value == "outflow" else fact.to_cls)
    return True


def _side_of_subject(claim: Claim) -> int:
    """1 or -1 where the clause says that its one class gained or lost: "耕地流出的", "cropland that was lost"."""
    cls = claim.own["class"][0]
    for word in claim.own.get("qty", ()):
        if word.value in ("inflow", "outflow", "rise", "fall") and 0 <= word.start - cls.end <= 20:
            if word.start - cls.end <= 1 or word.start - cls.end in _ENGLISH_GAPS:
                return QUANTITY_WORDS[word.value][1]
    return 0


# Lengths of " that was ", " which were " and the like.
_ENGLISH_GAPS = tuple(
    len(f" {a}{b}") for a in ("", "that ", "which ") for b in ("", "was ", "were ", "has been ", "have been ")
)


def _place_fits(claim: Claim, fact: Fact, facts: Facts) -> bool:
    if fact.quantity in _ABOUT_ALL and not fact.place:
        return True
    own = _names(claim.own.get("place", ()))
    here = facts.evidence.place
    if own and fact.quantity != "difference":
        if any(name != (fact.place or here) and not (fact.patch and name == here) for name in own):
            return False
    elif claim.own.get("county"):
        if (fact.place and not fact.patch) or (here and not _whole_county(here, facts)):
            return False
    elif fact.place and not fact.patch:
        if fact.place not in _names(claim.words("place")):
            return False
    elif claim.near.get("place") and not fact.place and fact.quantity != "difference":
        if any(name != here for name in _names(claim.near["place"])):
            return False
    elif fact.patch and fact.place and claim.near.get("place") and fact.place not in _names(claim.near["place"]):
        return here in _names(claim.near["place"])
    return _zone_fits(claim, fact, facts)


def _whole_county(place: str, facts: Facts) -> bool:
    zone = facts.evidence.query.zone
    return place.endswith(("县", "市", "区", "County")) and (zone is None or zone.type == "county")


def _zone_fits(claim: Claim, fact: Fact, facts: Facts) -> bool:
    own = set(_names(claim.own.get("zone", ())))
    if claim.own.get("place"):
        # The zone may be a part of the name, or say where the place is.
        return own <= fact.zones | facts.zones
    if own:
        return own <= fact.zones
    if not fact.zones or fact.zones == facts.zone_kinds or fact.patch:
        return True
    said = set(_names(claim.words("zone")))
    return bool(said & fact.zones) or bool(fact.place)


def _patch_fits(claim: Claim, fact: Fact) -> bool:
    own = _names(claim.own.get("patch", ()))
    if own:
        if fact.patch:
            return fact.patch in own
        return fact.quantity in ("count", "rows", "method", "unit", "period", "seen", "cloud", "index", "difference")
    inherited = _names(claim.words("patch"))
    if fact.patch and fact.quantity in ("patch", "overlap", "confidence"):
        return fact.patch in inherited or (not inherited and "top" in claim.marks)
    if fact.patch:
        return not inherited or fact.patch in inherited
    return not (
        claim.near.get("patch")
        and fact.dimension == "area"
        and fact.quantity in ("patches", "gain", "loss", "net", "state")
    )


def _kind_fits(claim: Claim, fact: Fact, facts: Facts) -> bool:
    for family in _KINDS:
        own = set(_names(claim.own.get(family, ())))
        holds = {value for name, value in fact.kinds if name == family}
        if own and holds and not own & holds:
            return False
        if own and not holds and not _may_lack(family, fact, facts):
            return False
    for family, value in fact.needs:
        said = claim.own.get(family) or (
            claim.near.get(family) or (claim.far.get(family) if family != "measure" else ())
        )
        if value not in _names(said or ()):
            return False
    return True


def _may_lack(family: str, fact: Fact, facts: Facts) -> bool:
    if family in ("index", "sector") or (family == "part" and fact.zones):
        return True
    if family == "measure":
        return fact.quantity in ("unit", "patches") or not any(
            name == family for one in facts.numbers for name, _ in one.kinds
        )
    if family == "type":
        return fact.dimension != "count" or not any(name == family for one in facts.numbers for name, _ in one.needs)
    return family == "accuracy" and fact.quantity != "accuracy"
