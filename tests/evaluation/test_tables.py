"""The tables of the READMEs are what the committed results say."""

import json

from evaluation import tables


def test_readmes_are_up_to_date():
    for name, lang in tables.READMES.items():
        text = (tables.REPO / name).read_text(encoding="utf-8")
        assert tables.filled(text, lang) == text, f"{name}: run python -m evaluation.tables"


def test_both_readmes_have_every_table():
    for name in tables.READMES:
        text = (tables.REPO / name).read_text(encoding="utf-8")
        for table in (*tables.TABLES, "speed", "words", "county"):
            assert f"<!-- table: {table} -->" in text, (name, table)


def test_table_from_a_hand_made_report(tmp_path, monkeypatch):
    stage = {"n": 10, "reward_greedy": 0.5, "reward_sampled": 0.4, "majority": 0.3, "shuffled": 0.2}
    stage |= {"ci95": {"sampled": [0.35, 0.45]}, "types_above_both_floors": ["share", "count"]}
    gain = {"grpo_minus_sft": {"value": 0.06, "ci95": [0.02, 0.1]}}
    (tmp_path / "story.json").write_text(json.dumps({"stages": {"base": stage, "grpo": stage}, "gain": gain}))
    monkeypatch.setattr(tables, "RESULTS", tmp_path)
    text = tables.render("story", "en")
    assert "| base | 10 | 0.500 | 0.400 | 0.350-0.450 | 0.300 | 0.200 |" in text
    assert "+0.060 (95 % +0.020 to +0.100)" in text
    assert "share, count" in text
    assert tables.render("real", "en") == ""


def test_speed_table_from_hand_made_results(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "RESULTS", tmp_path)
    assert tables.render("speed", "en") == ""
    found = {"group": 8, "stock_seconds": 6.0, "ours_seconds": 2.0, "ratio_median": 3.0, "ratio_range": [2.5, 3.5]}
    results = {"results": [found, found | {"group": 2}]}
    (tmp_path / "grpo_speed.json").write_text(json.dumps(results), encoding="utf-8")
    sft = {"tokens_per_second": {"padded": 100.4, "packed": 250.0}, "ratio_median": 2.49, "ratio_range": [2.4, 2.6]}
    (tmp_path / "sft_speed.json").write_text(json.dumps(sft), encoding="utf-8")
    lines = tables.render("speed", "en").splitlines()
    assert lines[2] == "| stage 2, 2 completions per prompt | 6.00 s | 2.00 s | 3.00 | 2.50-3.50 |"
    assert lines[4] == "| stage 1, dialogues of uneven length | 100 tokens/s | 250 tokens/s | 2.49 | 2.40-2.60 |"


def test_county_table_from_hand_made_results(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "RESULTS", tmp_path)
    assert tables.render("county", "zh") == ""
    row = {"question": "2024年新增耕地面积是多少？", "first_seconds": 69.06, "again_seconds": 0.016, "peak_gib": 1.41}
    (tmp_path / "county.json").write_text(json.dumps({"rows": [row]}), encoding="utf-8")
    assert tables.render("county", "en").splitlines()[2] == f"| {row['question']} | 69 s | 0.02 s | 1.4 GiB |"
    assert tables.render("county", "zh").splitlines()[2] == f"| {row['question']} | 69 秒 | 0.02 秒 | 1.4 GiB |"
