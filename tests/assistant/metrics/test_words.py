from datetime import date
from pathlib import Path

import pytest

from src.assistant.county import County, no_progress
from src.assistant.metrics.words import convert, explain_diff
from src.assistant.query import Query
from src.geo.blocks import ThreadRunner
from src.geo.workspace import Workspace

NOWHERE = County(Workspace(Path("/nowhere")), ThreadRunner(1), date(2024, 12, 31))


@pytest.mark.parametrize(
    ("value", "unit", "m2"),
    [(15.0, "mu", 10_000.0), (3.0, "mu", 2000.0), (1.0, "ha", 10_000.0), (2.5, "km2", 2_500_000.0), (7.0, "m2", 7.0)],
)
def test_conversion_is_exact(value, unit, m2):
    found = convert(Query(metric="convert", value=value, unit=unit, to_unit="ha"), NOWHERE, no_progress)
    assert found.status == "words"
    assert found.figure("converted").value == pytest.approx(m2, rel=1e-15)
    assert (found.figure("converted").dimension, found.figure("converted").kind) == ("area", "ha")


def test_conversion_without_a_unit_takes_mu():
    found = convert(Query(metric="convert", value=1500.0), NOWHERE, no_progress)
    assert found.figure("converted").value == 1_000_000.0


def test_conversion_asks_for_a_value():
    found = convert(Query(metric="convert", unit="mu"), NOWHERE, no_progress)
    assert (found.reason, found.figures) == ("need_value", ())


@pytest.mark.parametrize(("lang", "source"), [("zh", "遥感监测"), ("en", "remote sensing")])
def test_differences_are_a_full_table_of_words(lang, source):
    found = explain_diff(Query(metric="explain_diff", lang=lang), NOWHERE, no_progress)
    (table,) = found.tables
    assert found.figures == ()
    assert len(table.columns) == 4 and table.columns[1] == source
    assert len(table.rows) == 4 and all(len(row) == 4 and all(row) for row in table.rows)
