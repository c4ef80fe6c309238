"""The dates of an evidence: those of its images and figures, those asked about, and its periods."""

from dataclasses import dataclass
from datetime import date
from functools import cached_property
from itertools import combinations

from src.assistant.checking.dates import Span
from src.assistant.record import Evidence

Pair = tuple[date, date]

# A nominal date (31 December) stands for the image taken nearest to it, if that is not further away than this.
_NEAREST_DAYS = 400


@dataclass
class Calendar:
    """All dates that a text about one evidence may name."""

    evidence: Evidence

    @cached_property
    def taken(self) -> frozenset[date]:
        """Acquisition dates: of scenes, figures and patches."""
        evidence = self.evidence
        days = [scene.date for scene in evidence.scenes]
        days += _days(*((one.t1, one.t2) for one in evidence.figures), *((row.t1, row.t2) for row in evidence.patches))
        return frozenset(date.fromisoformat(day) for day in days)

    @cached_property
    def nominal(self) -> frozenset[date]:
        """Dates asked about."""
        queries = (self.evidence.query, *self.evidence.query.others)
        days = _days((self.evidence.t1, self.evidence.t2), *((one.t1, one.t2) for one in queries))
        return frozenset(date.fromisoformat(day) for day in days)

    @cached_property
    def days(self) -> frozenset[date]:
        """All dates of the evidence."""
        return self.taken | self.nominal

    @cached_property
    def _aliases(self) -> dict[date, frozenset[date]]:
        found: dict[date, set[date]] = {day: {day} for day in self.taken | self.nominal}
        used = {date.fromisoformat(scene.date) for scene in self.evidence.scenes if scene.used}
        candidates = (used or self.taken) & self.taken or self.taken
        for asked in self.nominal:
            near = min(candidates, key=lambda day: abs(day - asked), default=None)
            if near is not None and abs(near - asked).days <= _NEAREST_DAYS:
                found[near].add(asked)
                found[asked].add(near)
        return {day: frozenset(others) for day, others in found.items()}

    def aliases(self, day: date | None) -> frozenset[date]:
        """A date and those that stand for it."""
        return self._aliases.get(day, frozenset({day})) if day else frozenset()

    @cached_property
    def pairs(self) -> frozenset[Pair]:
        """Periods of the evidence."""
        evidence = self.evidence
        queries = (evidence.query, *evidence.query.others)
        dated = [(one.t1, one.t2) for one in evidence.figures] + [(one.t1, one.t2) for one in queries]
        dated += [(row.t1, row.t2) for row in evidence.patches] + [(evidence.t1, evidence.t2)]
        found = {pair for t1, t2 in set(dated) if (pair := _period(t1, t2))}
        used = sorted({date.fromisoformat(scene.date) for scene in evidence.scenes if scene.used})
        found |= set(combinations(used, 2))
        series = sorted(
            {
                date.fromisoformat(one.t2)
                for one in evidence.figures
                if one.quantity in ("series", "state", "index") and one.t2
            }
        )
        return frozenset(found | set(combinations(series, 2)))

    def durations(self) -> frozenset[int]:
        """Lengths of the periods, days."""
        return frozenset((b - a).days for a, b in self.pairs) | frozenset(
            (b - a).days for a, b in combinations(sorted(self.nominal), 2)
        )


def _days(*dated: tuple[str | None, str | None]) -> list[str]:
    return [day for pair in dated for day in pair if day]


def _period(t1: str | None, t2: str | None) -> Pair | None:
    return (date.fromisoformat(t1), date.fromisoformat(t2)) if t1 and t2 else None


def covers(span: Span, day: date) -> bool:
    """Whether a day lies in a date expression (of a period: in its first part)."""
    if span.precision == "monthday":
        return (day.month, day.day) == (span.first.month, span.first.day)
    if span.precision == "onlymonth":
        return day.month == span.first.month
    return span.first <= day <= span.last
