"""A question in everyday Chinese or English as a typed ``Query``, by rules alone.

    python -m src.assistant.parse "2024年新增耕地面积是多少？" --as_of 2024-12-31

What is asked for is read part by part (classes and their roles, places, period,
numbers, ranking, form of the answer); an ordered table of rules then decides
the metric from cue words and from which parts are filled. A follow-up changes
only what it names. Text that no rule knows gives "clarify" with reason
"unknown"; nothing here raises on odd text.

Conventions of the query, where facts leave a choice:

- Period. ``t1``, ``t2`` null: the latest comparable pair of dates. So stand patches, count, overlap, presence, matrix,
  structure, breakdowns (``group_by``), rankings, comparisons of places and changes inside a zone without a period. A
  bare change of one class, or from one to another, in the whole county (gain, loss, net, transition, rate) without a
  period is "clarify" with reason "need_period". ``t1`` null with a ``t2``: the latest pair that ends on this day; for
  states (area_at, share_at, presence): the day asked about. States without a time are of ``as_of``. trend,
  extreme_interval, index_mean and abandoned without a period look at every date there is.
- A period that ends after ``as_of`` ends at ``as_of``; one that lies wholly after it is "clarify", "future".
- "clarify" keeps what was understood and names in ``wanted`` the metric that it becomes once the missing thing is
  told. Reasons: empty, unknown, need_period, need_class, need_t1, unknown_zone (``zone`` is the name that
  the county lacks), future; which_zone, one_at_a_time, exclusion where no one query holds all that was asked; of
  follow-ups: compare_what, sum_what, which_part,
  which_patches, need_patch; nothing_yet of an export without an answer.
  refuse: legal, off_topic. unsupported: causal, non_grain (crops), forecast, no_data (owners, soil, plans, people).
- gain, loss, net: ``cls`` is the class. gain with ``from_cls``: only from that class; loss with ``to_cls`` likewise.
  "Where did it come from / go to" is gain or loss with group_by "class"; by town is group_by "town".
- transition: ``from_cls`` and ``to_cls``; several classes of one side are compared: "classes", a transition
  each.
- A town's zone ("云溪镇的基本农田") is the zone of this kind whose name begins with the town's; without exactly one
  it is the ground of all of the kind inside the town (``town``). Two places in a list are none within the other.
- patches, count, overlap, first_seen: ``to_cls`` is what the patch turned into ("built" for building, "unused" for
  digging and heaps), ``from_cls`` what it was; null is any. "Encroached" land keeps both null.
- rank with group_by orders places or classes by the net change of ``cls`` (order asc: largest decrease first; size, for
  "changed most": the largest of either sign first);
  where ``to_cls`` is set too, by gain of it, where ``from_cls`` is set too, by loss of it, desc being the most; with
  ``t1`` null and a ``t2`` by the state on this day.
  rank without group_by orders patches by area. "Which" is n = 1, "ranking" without a number n = 10.
- extreme_interval: ``rank.order`` asc is the largest decrease of ``cls``, desc the largest increase, size either.
- compare: the first side is the query itself, the others stand in ``others``; ``others[i].metric`` says what is
  measured on both sides (gain, loss, net, transition, area_at, share_at, patches). Years side by side with a flow
  ("2022年和2023年各减少多少") are periods to compare; more than four sides are "clarify", "one_at_a_time".
- accuracy, provenance, export: what they are about, where it is named.
- Several classes side by side ("耕地和林地"): flows are a comparison by class, areas group_by "class".
- Another county than the workspace's is "unknown_zone" too; the county itself, named or not, is ``zone`` null.
- An upper threshold ("smaller than 5 mu") is "clarify", "unknown": no field holds it.
- review: ``reason`` is the cause of a false change, one of FALSE_CHANGE_CAUSES, null where none was said.
- special: ``reason`` is "solar" or "greenhouse", null for both. With one class, ``reason`` "merged" where a part of
  it was named (paddy, wetland, homesteads), which images cannot tell from the rest.
- patch_detail, first_seen, verify, review: ``patch_id`` null where it was not said which; the answer asks.
- point: ``zone.type`` "point" with ``lon``, ``lat`` and ``radius_m`` (300 m unless said).
- convert: ``value`` in ``unit`` to ``to_unit``; "acres" and 万 are turned into ``unit`` ha and plain numbers.
- Human activity in a reserve is class built. Outside of a zone: ``zone.inside`` false.
"""

import argparse
import json
import sys
from datetime import date

from src.assistant.query import Known, Query
from src.assistant.reading.followup import continued, without_denied
from src.assistant.reading.guard import guarded
from src.assistant.reading.rules import decide
from src.assistant.reading.slots import read_slots
from src.errors import InputError, run_command


def parse(question: str, *, as_of: date, known: Known | None = None, previous: Query | None = None) -> Query:
    """The query that a question asks for.

    Args:
        question: Chinese, English or both; any text.
        as_of: the day that counts as today.
        known: what the workspace holds; None leaves names of places unchecked.
        previous: query of the question before, for follow-ups.

    Returns:
        A checked query; "clarify", "refuse" or "unsupported" with a ``reason`` where nothing can be measured.
    """
    slots = read_slots(question, as_of, known or Known())
    if previous is not None:
        slots = without_denied(slots)
        if (follow := continued(slots, previous)) is not None:
            return guarded(slots, follow)
    return decide(slots)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("question")
    parser.add_argument("--as_of", required=True, help="the day that counts as today, YYYY-MM-DD")
    return parser.parse_args()


def main() -> None:
    """Print the query as one JSON object."""
    args = _arguments()
    try:
        as_of = date.fromisoformat(args.as_of)
    except ValueError:
        raise InputError(f"--as_of {args.as_of!r}: expected a date such as 2024-12-31") from None
    text = json.dumps(parse(args.question, as_of=as_of).to_json(), ensure_ascii=False, indent=2)
    sys.stdout.write(f"{text}\n")


if __name__ == "__main__":
    run_command(main)
