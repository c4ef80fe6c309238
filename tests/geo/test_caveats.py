import pickle
import re
from pathlib import Path

import pytest

from src.errors import LandUseError
from src.geo.caveats import CAVEATS, CannotTell

_CODE = re.compile(r"[A-Z]+(_[A-Z0-9]+)+")


@pytest.mark.parametrize("code", list(CAVEATS))
def test_every_code_is_worded_in_both_languages(code):
    words = CAVEATS[code]
    assert _CODE.fullmatch(code) and list(words) == ["zh", "en"]
    assert re.search(r"[\u4e00-\u9fff]", words["zh"]) and words["en"].isascii()
    # Sentences are put together from them, so they neither begin nor end one.
    assert not words["zh"].endswith(("。", "；")) and not words["en"].endswith((".", ";"))


def test_there_is_one_wording_per_code():
    assert len(CAVEATS) >= 19
    assert all(len({words[lang] for words in CAVEATS.values()}) == len(CAVEATS) for lang in ("zh", "en"))


def test_codes_raised_in_the_source_are_known(repo: Path):
    raised = [
        code
        for path in sorted((repo / "src/geo").rglob("*.py"))
        for code in re.findall(r"CannotTell\(\s*\"([A-Z0-9_]+)\"", path.read_text(encoding="utf-8"))
    ]
    assert len(raised) >= 8 and set(raised) <= set(CAVEATS)


def test_cannot_tell_says_code_reason_and_finding():
    error = CannotTell("NO_CLEAR_IMG", "3 % of the pixels were seen, 5 % are needed; choose clearer dates")
    assert str(error) == (
        "NO_CLEAR_IMG: no clear image in the period, so this cannot be told; "
        "3 % of the pixels were seen, 5 % are needed; choose clearer dates"
    )
    assert (error.code, error.detail[:3]) == ("NO_CLEAR_IMG", "3 %")
    assert isinstance(error, LandUseError) and error.exit_code == 2


def test_cannot_tell_comes_back_from_a_worker_process():
    """Its text alone went to the base class, and unpickling then failed for want of the detail."""
    error = pickle.loads(pickle.dumps(CannotTell("RARE_CLASS", "7 pixels")))
    assert (error.code, error.detail) == ("RARE_CLASS", "7 pixels")
    assert str(error) == f"RARE_CLASS: {CAVEATS['RARE_CLASS']['en']}; 7 pixels"
