import hashlib
import json

import pytest

from src.geo.evidence import digest, file_digest, is_sealed, sealed, write_evidence

RECORD = {
    "county": "示例县",
    "areas": {"cropland": {"value_m2": 1234.5, "bounds": [1000.0, 1500.25]}, "built": {"value_m2": 0.1}},
    "caveats": ["SINGLE_PAIR", "UNCALIBRATED_AREA"],
    "cloud": None,
}


def reordered(value):
    """The same JSON value with its keys the other way round."""
    if isinstance(value, dict):
        return {key: reordered(value[key]) for key in reversed(value)}
    return [reordered(item) for item in value] if isinstance(value, list) else value


def test_digest_is_that_of_the_compact_text_in_utf8():
    text = '{"a":[1,2.5,null],"县":"x"}'.encode()
    assert digest({"县": "x", "a": [1, 2.5, None]}) == hashlib.sha256(text).hexdigest()


def test_digest_depends_on_values_and_order_of_lists_but_not_of_keys():
    other = reordered(RECORD)
    assert list(other) != list(RECORD) and digest(other) == digest(RECORD)
    assert digest({"a": [1, 2]}) != digest({"a": [2, 1]})
    assert digest({"a": 0.1 + 0.2}) != digest({"a": 0.3})


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_numbers_that_json_lacks_are_refused_and_nothing_is_written(tmp_path, number):
    with pytest.raises(ValueError, match="not JSON compliant"):
        digest({"areas": [number]})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_evidence(tmp_path / "evidence.json", {"areas": [number]})
    assert list(tmp_path.iterdir()) == []


def test_a_seal_covers_all_of_the_record():
    record = sealed(RECORD)
    assert record["sha256"] == digest(RECORD) and is_sealed(record) and not is_sealed(RECORD)
    assert sealed(record) == record and is_sealed(reordered(record))
    assert "sha256" not in RECORD


@pytest.mark.parametrize(
    "change",
    [
        lambda record: record["areas"]["cropland"].update(value_m2=1234.6),
        lambda record: record["caveats"].pop(),
        lambda record: record.update(extra=1),
        lambda record: record.pop("county"),
        lambda record: record.update(sha256="0" * 64),
        lambda record: record.pop("sha256"),
    ],
)
def test_tampering_shows(change):
    record = json.loads(json.dumps(sealed(RECORD)))
    assert is_sealed(record)
    change(record)
    assert not is_sealed(record)


def test_the_same_record_gives_the_same_file(tmp_path):
    first, second = tmp_path / "a/evidence.json", tmp_path / "b/evidence.json"
    written = write_evidence(first, RECORD)
    write_evidence(second, reordered(RECORD))
    assert first.read_bytes() == second.read_bytes() and first.read_bytes().endswith(b"}\n")
    back = json.loads(first.read_text(encoding="utf-8"))
    assert back == written == sealed(RECORD) and is_sealed(back)
    assert "示例县" in first.read_text(encoding="utf-8")


def test_a_write_that_stops_half_way_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "evidence.json"
    write_evidence(path, RECORD)
    before = path.read_bytes()

    def full(_self, text, encoding):
        _self.write_bytes(text[:20].encode(encoding))
        raise OSError("no space left on device")

    monkeypatch.setattr(type(path), "write_text", full)
    with pytest.raises(OSError, match="no space"):
        write_evidence(path, RECORD | {"county": "another"})
    assert path.read_bytes() == before and [file.name for file in tmp_path.iterdir()] == ["evidence.json"]


def test_file_digest(tmp_path):
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "abc").write_bytes(b"abc")
    # FIPS 180-2, example B.1, and the well-known value of nothing.
    assert file_digest(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert file_digest(tmp_path / "empty") == hashlib.sha256().hexdigest()
