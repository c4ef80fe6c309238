"""Truth beside figures, by hand, and a campaign that goes on where it stopped."""

import json
import sys

import pytest

from evaluation.benchmarks import assistant
from evaluation.benchmarks.assistant import DECLINED, QUESTIONS, Held, held, summarise, true_value
from src.assistant.query import Query
from src.assistant.record import Evidence, Figure
from src.constants import LAND_CLASS_IDS
from src.errors import InputError

T1, T2 = "2023-12-24", "2024-12-26"


def zone(name, part="", **flows):
    """A zone of 100 m2 of cropland and 50 m2 of forest with some true change, keyed "from_to"."""
    change = {a: dict.fromkeys(LAND_CLASS_IDS, 0.0) for a in LAND_CLASS_IDS}
    change["cropland"]["cropland"], change["forest"]["forest"] = 100.0, 50.0
    for key, area in flows.items():
        before, after = key.split("_")
        change[before][after] = area
    areas = {
        T1: {cls: sum(change[cls].values()) for cls in LAND_CLASS_IDS},
        T2: {cls: sum(row[cls] for row in change.values()) for cls in LAND_CLASS_IDS},
    }
    return {"name": name, "part": part, "area_m2": 500.0, "areas_m2": areas, "change_m2": {f"{T1}/{T2}": change}}


COUNTY = zone(
    "甲县", cropland_built=30.0, forest_cropland=8.0, cropland_forest=2.0, forest_unused=4.0, water_unused=5.0
)
TRUTH = {
    "areas_m2": COUNTY["areas_m2"],
    "change_m2": COUNTY["change_m2"],
    "zones": {
        "county": [COUNTY],
        "towns": [zone("乙镇", cropland_built=10.0), zone("丙镇", cropland_built=20.0)],
        "reserve": [
            zone("丁保护区核心区", "core", forest_built=3.0),
            zone("丁保护区缓冲区", "buffer", forest_built=4.0),
        ],
        "river_scope": [],
        "basic_farmland": [],
    },
}
GAIN = Query(metric="gain", cls="cropland")
RESERVE = Query(metric="transition", zone={"type": "reserve"})


def figure(**fields):
    return Figure(**({"key": "x", "value": 1.0, "dimension": "area", "t1": T1, "t2": T2} | fields))


@pytest.mark.parametrize(
    ("query", "fields", "truth"),
    [
        (GAIN, {"quantity": "gain", "cls": "cropland"}, 8.0),
        (GAIN, {"quantity": "loss", "cls": "cropland"}, 32.0),
        (GAIN, {"quantity": "net", "cls": "cropland"}, -24.0),
        (GAIN, {"quantity": "gain", "cls": "built"}, 30.0),
        (GAIN, {"quantity": "transition", "from_cls": "cropland", "to_cls": "built"}, 30.0),
        (GAIN, {"quantity": "gain", "cls": "built", "place": "丙镇"}, 20.0),
        (GAIN, {"quantity": "state", "cls": "cropland", "t1": None}, 108.0),
        (GAIN, {"quantity": "state", "cls": "built", "t1": None, "dimension": "share"}, 30.0 / 199.0),
        (RESERVE, {"quantity": "transition", "from_cls": "forest", "to_cls": "built"}, 7.0),
        (RESERVE, {"quantity": "gain", "cls": "built", "place": "reserve"}, 7.0),
        # What the record does not tell.
        (GAIN, {"quantity": "gain", "cls": "cropland", "t1": "2020-01-01"}, None),
        (GAIN, {"quantity": "gain", "cls": "cropland", "kind": "below_mmu"}, None),
        # Any change of class in both parts; of building in the county, bare ground counts too.
        (RESERVE.changed(metric="overlap"), {"quantity": "overlap"}, 7.0),
        (RESERVE.changed(metric="overlap"), {"quantity": "overlap", "dimension": "share"}, 7.0 / 1000.0),
        (Query(metric="patches", to_cls="built"), {"quantity": "patches"}, 30.0 + 4.0),
        (Query(metric="patches", to_cls="forest"), {"quantity": "patches"}, 2.0),
        (GAIN, {"quantity": "patches", "kind": "DT"}, None),
        (GAIN, {"quantity": "gain", "cls": "cropland", "place": "戊镇"}, None),
        (RESERVE, {"quantity": "gain", "cls": "built", "place": "丙镇"}, None),
        (GAIN.changed(zone={"type": "mining"}), {"quantity": "gain", "cls": "built"}, None),
        (RESERVE.changed(zone={"type": "reserve", "inside": False}), {"quantity": "gain", "cls": "built"}, None),
    ],
)
def test_truth_of_a_figure(query, fields, truth):
    assert true_value(figure(**fields), query, TRUTH) == (truth if truth is None else pytest.approx(truth))


def test_part_of_a_reserve_is_a_zone_of_its_own():
    query = RESERVE.changed(zone={"type": "reserve", "part": "core"})
    assert true_value(figure(quantity="gain", cls="built"), query, TRUTH) == 3.0


def test_headline_is_the_first_card_with_a_truth():
    flow = {"quantity": "gain", "cls": "cropland", "bounds": (5.0, 9.0), "value": 7.0}
    figures = (
        figure(key="loss", quantity="loss", cls="cropland", bounds=(1.0, 2.0)),
        figure(key="gain", **flow),
        figure(key="free", quantity="gain", cls="built"),
    )
    rows = held(Evidence(query=GAIN, figures=figures, cards=("free", "gain")), TRUTH)
    assert [row.key for row in rows] == ["gain", "loss"]
    assert rows[0] == Held("gain", 7.0, 5.0, 9.0, 8.0) and rows[0].inside
    assert not rows[1].inside


def county(seed: int) -> dict:
    figures = [vars(Held("gain", 10.0, 5.0, 15.0, 12.0)), vars(Held("net", 4.0, 2.0, 6.0, 6.5 + seed))]
    answer = {
        "status": "measured",
        "reason": None,
        "first_seconds": 2.0,
        "first_cpu_seconds": 1.0,
        "again_seconds": 0.1,
        "same_again": True,
    }
    answers = [answer | {"question": question, "figures": figures} for question in QUESTIONS]
    declined = [{"question": one, "right": index > 0, "reason": "x"} for index, one in enumerate(DECLINED)]
    return {"seed": seed, "build_seconds": 3.0, "answers": answers, "declined": declined}


def test_summary_counts_headlines_answers_and_figures():
    found = summarise([county(0), county(1)])
    every = found["all"]
    assert every["n"] == 2 * len(QUESTIONS)
    assert [every[key]["share"] for key in ("headline", "answers", "figures")] == [1.0, 0.0, 0.5]
    assert every["outside"] == ["net"]
    # Half widths 5 / 10 and 2 / 4.
    assert every["half_width"] == 0.5
    low, high = every["headline"]["ci95"]
    # Clopper and Pearson of 18 of 18: 0.025 ** (1 / 18).
    assert (low, high) == (pytest.approx(0.025 ** (1 / 18)), 1.0)
    assert found["declined"] == {"n": 2 * len(DECLINED), "right": 2 * (len(DECLINED) - 1)}
    assert len(found["declined_wrong"]) == 1 and found["wrongly_declined"] == 0
    assert "net" in assistant.show(found)


def test_campaign_goes_on_where_it_stopped(monkeypatch, tmp_path, capsys):
    asked = []

    def survey_county(seed, size, cloud_share, folder):
        asked.append(seed)
        return county(seed)

    monkeypatch.setattr(assistant, "survey_county", survey_county)

    def run(*flags):
        argv = ["assistant", "--seed", 5, "--work", tmp_path / "w", "--out", tmp_path / "r.json", *flags]
        monkeypatch.setattr(sys, "argv", list(map(str, argv)))
        return assistant.main()

    assert run("--counties", 1) == 1
    run("--counties", 3)
    assert asked == [5, 6, 7]
    written = json.loads((tmp_path / "r.json").read_text())
    printed = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert printed["all"] == written["all"] and [row["seed"] for row in written["counties"]] == [5, 6, 7]
    assert {"commit", "command", "args", "versions", "hardware", "seed", "n", "seconds"} <= set(printed)
    with pytest.raises(InputError, match="another --work"):
        run("--counties", 3, "--size", 200)
