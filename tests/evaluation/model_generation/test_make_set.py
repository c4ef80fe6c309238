"""The project's own set has the shape of MMDU's benchmark."""

import json

import pytest

from evaluation.model_generation import make_set
from evaluation.model_generation.make_set import IMAGE_CLASSES, TURN_CLASSES, counts, shape
from evaluation.model_generation.sets import read_set
from src.dataset.store import ConversationStore
from src.errors import InputError
from src.geo.simulate import simulate_county


def test_the_full_size_is_the_benchmarks():
    """110 dialogues, 422 images, about 1,600 questions, and the published histograms."""
    images, turns = counts(IMAGE_CLASSES, 110), counts(TURN_CLASSES, 110)
    assert sum(images) == 422 and sum(turns) == 1610
    assert images.count(2) == 52 and sum(3 <= n <= 10 for n in images) == 51 and max(images) <= 20
    shares = [sum(low <= n <= high for n in turns) / 110 for low, high in ((0, 10), (11, 15), (16, 20), (21, 27))]
    assert shares == pytest.approx([0.246, 0.227, 0.427, 0.100], abs=0.01)
    assert max(turns) <= 27
    assert sorted(n for n, _ in shape(110, 1)) == images and shape(110, 1) != shape(110, 2)


@pytest.fixture(scope="module")
def county(tmp_path_factory):
    folder = tmp_path_factory.mktemp("county") / "c5"
    common = {"size": 256, "sensor": "sentinel2_l2a", "dates": make_set.DATES, "crs": "EPSG:32648"}
    simulate_county(folder, seed=5, objects=False, **common)
    return folder


def test_a_small_set_can_be_asked_and_is_the_same_again(county, tmp_path, capsys):
    for name in ("a", "b"):
        assert make_set.main(["--out", str(tmp_path / name), "--county", str(county), "--dialogues", "5"]) == 0
    data = tmp_path / "a" / "benchmark.json"
    assert data.read_bytes() == (tmp_path / "b" / "benchmark.json").read_bytes()
    rows, dialogues = json.loads(data.read_text()), read_set(data)
    assert ConversationStore(data).format == "mmdu" and len(dialogues) == len(rows) == 5
    assert not any(dialogue.problem for dialogue in dialogues)
    wanted = shape(5, 5)
    assert [(len(d.image_ids), len(d.questions)) for d in dialogues] == wanted
    names = [name for dialogue in dialogues for name in dialogue.image_ids]
    assert len(set(names)) == len(names) == sum(images for images, _ in wanted)
    assert all(dialogue.pictures()[0].size == (112, 112) for dialogue in dialogues)
    for row in rows:
        questions = [turn["value"] for turn in row["conversations"][::2]]
        assert len(set(questions)) == len(questions)
        assert row["image"][0].startswith("/mmdu_pics/") and questions[0].count("<ImageHere>") == len(row["image"])
    assert "5 dialogues" in capsys.readouterr().out


def test_too_few_pictures_are_refused(county, tmp_path):
    with pytest.raises(InputError, match="too few clear pictures"):
        make_set.main(["--out", str(tmp_path / "c"), "--county", str(county), "--dialogues", "110"])
    assert not (tmp_path / "c").exists()
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "x").touch()
    with pytest.raises(InputError, match="not empty"):
        make_set.main(["--out", str(tmp_path / "d"), "--county", str(county)])
