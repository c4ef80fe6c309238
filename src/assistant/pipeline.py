"""From a question to a checked answer: understand, measure, say, check, remember.

    assistant = Assistant(County(workspace, runner, as_of))
    answer = assistant.ask("2024年新增耕地面积是多少？", Dialogue())

Rules read the question first; where they do not match, the model may choose
among the known forms. Figures come from ``gather`` alone. The model may say the
answer in other words; what it says is shown only when every statement of it
stands in the evidence. What it says about a picture is an impression and
carries no evidence.
"""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from src.assistant.answer import Answer, compose
from src.assistant.county import County, Progress
from src.assistant.evidence import gather
from src.assistant.parse import parse
from src.assistant.query import Known, Lang, Query, ZoneRef
from src.assistant.reading.choose import choose, nearest_forms
from src.assistant.reading.slots import read_slots
from src.assistant.record import Evidence
from src.assistant.rephrase import rephrase
from src.assistant.review import CAUSES, FALSE_CHANGE, ReviewLog
from src.assistant.text import PARTS, place_name

# Asked about an answer, not about the land: they look at the period and place of the answer before.
_ABOUT_ANSWER = frozenset({"accuracy", "provenance", "export"})
_LISTED_CHOICES = 8

_LOG = logging.getLogger(__name__)


class LanguageModel(Protocol):
    """What the assistant needs of a model."""

    def generate(self, messages: Sequence[dict[str, Any]], **options: Any) -> str:
        """The answer to a conversation."""
        ...

    def score(self, messages: Sequence[dict[str, Any]], choices: Sequence[str]) -> list[float]:
        """Natural logarithm of the probability of each choice as the whole answer."""
        ...


def _zone_words(zone: ZoneRef | None, lang: Lang) -> str:
    """A place that a question names, as a choice."""
    if zone is None:
        return place_name(None, lang)
    part = PARTS[zone.part][lang] if zone.part else ""
    name = f"{zone.town or ''}{place_name(zone.name or zone.type, lang if zone.town is None else 'zh')}"
    return (f"{name}{part}" if lang == "zh" else f"{part} of {name}") if part and part not in name else name


@dataclass
class Dialogue:
    """What one asker said before: the last query that could be read, and the last measured answer."""

    previous: Query | None = None
    last: Answer | None = None
    user: str = ""

    def remember(self, answer: Answer) -> None:
        """Take an answer as what the next question may refer to."""
        evidence = answer.evidence
        if evidence is None or evidence.query.metric in ("refuse", "unsupported", "describe"):
            return
        if evidence.query.metric == "clarify":
            # What was asked back about is answered by the next words, such as "2024年".
            self.previous = evidence.query if evidence.query.wanted is not None else self.previous
            return
        if evidence.query.metric not in _ABOUT_ANSWER:
            self.previous = evidence.query
        self.last = answer


@dataclass
class Assistant:
    """Answers about one county.

    Args:
        county: the data and the day that counts as today.
        model: chooses among forms and says answers in other words; None leaves both to rules and templates.
        reviews: what people decided about patches; None where it cannot be kept.
        say_again: whether the model may say measured answers in other words.
    """

    county: County
    model: LanguageModel | None = None
    reviews: ReviewLog | None = None
    say_again: bool = False

    def understand(self, question: str, dialogue: Dialogue) -> Query:
        """What a question asks for; "clarify" with ``reason`` "unknown" where nobody can tell."""
        as_of, known = self.county.as_of, self.county.known()
        if dialogue.last is not None and dialogue.last.evidence is not None:
            known = known.model_copy(update={"patch_ids": tuple(row.id for row in dialogue.last.evidence.patches)})
        query = parse(question, as_of=as_of, known=known, previous=dialogue.previous)
        if (query.metric, query.reason) == ("clarify", "unknown") and self.model is not None:
            query = self._chosen(question, self.model, known, dialogue.previous) or query
        if query.metric in _ABOUT_ANSWER and dialogue.previous is not None and query.t1 is None and query.t2 is None:
            before = dialogue.previous
            query = query.changed(
                t1=before.t1, t2=before.t2, zone=query.zone or before.zone, cls=query.cls or before.cls
            )
        if query.metric == "export" and dialogue.last is None and not (query.t2 or query.cls or query.zone):
            named = query.from_cls or query.to_cls or query.group_by or query.patch_id
            query = query if named else Query.of({"metric": "clarify", "reason": "nothing_yet", "lang": query.lang})
        return query

    def evidence(self, query: Query, question: str, dialogue: Dialogue, progress: Progress | None = None) -> Evidence:
        """What is behind the answer to a query."""
        last = dialogue.last.evidence if dialogue.last is not None else None
        if (query.metric, query.reason) == ("clarify", "unknown"):
            choices = tuple(nearest_forms(question, query.lang, self.county.known()))
            return Evidence(query=query, status="words", reason="unknown", choices=choices)
        if (query.metric, query.reason) == ("clarify", "which_zone"):
            zones = read_slots(question, self.county.as_of, self.county.known()).zones
            choices = tuple(dict.fromkeys(_zone_words(zone, query.lang) for zone in zones))
            return Evidence(query=query, status="words", reason="which_zone", choices=choices)
        if (query.metric, query.reason) == ("clarify", "need_patch") and last is not None:
            choices = tuple(row.id for row in last.patches[:_LISTED_CHOICES])
            return Evidence(query=query, status="words", reason="need_patch", choices=choices)
        if query.metric == "export" and last is not None and last.patches:
            return last.model_copy(update={"query": query})
        if query.metric == "review":
            return self._reviewed(query, last, dialogue.user)
        return gather(query, self.county, progress)

    def answer(self, query: Query, question: str, dialogue: Dialogue, progress: Progress | None = None) -> Answer:
        """Measure, say and remember."""
        start = time.monotonic()
        evidence = self.evidence(query, question, dialogue, progress)
        template, said = compose(evidence), None
        refused: tuple[str, ...] = ()
        if self.say_again and self.model is not None and evidence.status == "measured":
            said, refused = self._reworded(evidence, template, self.model)
        answer = Answer(
            question=question,
            text=said or template,
            lang=query.lang,
            source="template" if said in (None, template) else "model",
            evidence=evidence,
            refused=refused,
            seconds=time.monotonic() - start,
        )
        dialogue.remember(answer)
        return answer

    def ask(self, question: str, dialogue: Dialogue, progress: Progress | None = None) -> Answer:
        """Answer one question from measured evidence.

        Args:
            question: in everyday Chinese or English.
            dialogue: what was said before; takes this answer in.
            progress: is told the steps of long measurements.
        """
        return self.answer(self.understand(question, dialogue), question, dialogue, progress)

    def _chosen(self, question: str, model: LanguageModel, known: Known, previous: Query | None) -> Query | None:
        """The model's choice among the forms; None where it has none or fails."""
        try:
            return choose(question, model, as_of=self.county.as_of, known=known, previous=previous)
        except Exception:  # whatever a model or server raises, the nearest forms can be offered
            _LOG.exception("the model could not choose a form")
            return None

    def _reworded(self, evidence: Evidence, template: str, model: LanguageModel) -> tuple[str, tuple[str, ...]]:
        """The answer in the model's words, or the template and what spoke against them; a model may fail."""
        try:
            said, problems = rephrase(evidence, template, model)
        except Exception as error:  # whatever a model or server raises, the measured answer stands
            _LOG.exception("the model could not reword an answer")
            return template, (f"model: {type(error).__name__}",)
        return said, tuple(f"{one.kind}: {one.found}" for one in problems)

    def _reviewed(self, query: Query, last: Evidence | None, user: str) -> Evidence:
        """Sets the state of the patch named; asks which one where none is."""
        rows = last.patches if last is not None else ()
        if query.patch_id is None or query.status is None or self.reviews is None:
            choices = tuple(row.id for row in rows[:_LISTED_CHOICES])
            return Evidence(query=query, status="words", reason="need_patch", choices=choices)
        if query.status == FALSE_CHANGE and query.reason not in CAUSES:
            causes = tuple(names[query.lang] for names in CAUSES.values())
            return Evidence(query=query, status="words", reason="need_cause", choices=causes)
        proof = last.id if last is not None else ""
        self.reviews.set(query.patch_id, query.status, user=user, reason=query.reason or "", evidence_id=proof)
        chosen = tuple(row.model_copy(update={"status": query.status}) for row in rows if row.id == query.patch_id)
        return Evidence(query=query, status="words", patches=chosen, detail=(query.patch_id, query.status))
