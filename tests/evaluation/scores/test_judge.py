"""The judge: scores that are valid whatever the judge says, resumed runs, and judges of themselves."""

import http.server
import json
import math
import os
import shutil
import signal
import sys
import threading

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from evaluation.scores import judge as command
from evaluation.scores.judge import Judge, already_judged, check_self, judge_dialogue, read_answers, settings_digest
from evaluation.scores.judge_identity import judges_itself
from evaluation.scores.judge_prompt import (
    CRITERIA,
    DIMENSIONS,
    SCORE_WORDS,
    Case,
    explain_messages,
    json_messages,
    pair_messages,
    score_messages,
)
from evaluation.scores.judge_scoring import JudgeOptions, expected_score, read_scores
from evaluation.scores.reading import DIMENSIONS as READ_DIMENSIONS
from evaluation.scores.reading import read_marks
from src.constants import IM_END
from src.errors import InputError, MissingPathError
from src.model.backend import BackendError, load_backend
from src.model.batcher import TransformersBackend
from src.model.engine import Engine
from src.model.load import load_model
from src.model.nano import NANO_DIR, build_variant
from src.model.openai_backend import OpenAIBackend
from tests.evaluation.scores.judges import Reader, Writer, arguments, text_of, write_answers
from tests.model.lively import lively_engine
from tests.tiny import make_adapter, picture

GOOD = dict.fromkeys(CRITERIA, 7)
CASE = Case("How many ponds?", "Three ponds.", "Two ponds.", (picture(112, 112), picture(112, 112, seed=1)))


@pytest.fixture(scope="module")
def nano():
    backend = load_backend(str(NANO_DIR), device="cpu", context_tokens=32768)
    yield backend
    backend.close()


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return str(build_variant(tmp_path_factory.mktemp("tiny") / "base", "tiny", "qwen2_5_vl", seed=0))


@pytest.fixture
def answers(tmp_path):
    return write_answers(tmp_path / "x-gene")


def run(monkeypatch, backend, folder, out, *words):
    """The command, with a backend put in."""
    monkeypatch.setattr(command, "connect", lambda args: backend)
    base = [
        "judge",
        "--answers",
        str(folder),
        "--out",
        str(out),
        "--judge",
        "stub",
        "--image_folder",
        str(folder.parent),
    ]
    monkeypatch.setattr(sys, "argv", [*base, *words])
    return command.main()


# ---- the score


def test_expected_score_by_hand():
    """0.2 on "3" and 0.6 on "8", the rest elsewhere: (0.2*3 + 0.6*8) / 0.8 = 6.75."""
    log_probs = [-math.inf] * 10
    log_probs[2], log_probs[7] = math.log(0.2), math.log(0.6)
    expected, mass = expected_score(log_probs)
    assert expected == pytest.approx(6.75) and mass == pytest.approx(0.8)


@given(st.lists(st.floats(-1e4, 0), min_size=10, max_size=10))
def test_expected_score_stays_on_the_scale(log_probs):
    expected, mass = expected_score(log_probs)
    assert 1 <= expected <= 10 and mass >= 0


@pytest.mark.parametrize("log_probs", [[math.nan] + [-1.0] * 9, [-math.inf] * 10, [-1.0] * 9])
def test_no_numbers_are_no_score(log_probs):
    with pytest.raises(ValueError):
        expected_score(log_probs)


def test_ten_is_scored_whole(nano):
    """ "10" is two tokens here: its score is P(1) P(0|1) P(end|10), and "1" counts only with its end behind it."""
    tokenizer, messages = nano._tokenizer, score_messages(CASE, "overall", "")
    ids = {word: tokenizer(f"{word}{IM_END}")["input_ids"] for word in SCORE_WORDS}
    assert [len(ids[word]) for word in SCORE_WORDS] == [2] * 9 + [3]
    assert ids["10"][0] == ids["1"][0]
    scores = nano.score(messages, SCORE_WORDS)
    engine = Engine.load(str(NANO_DIR), dtype=torch.float32, device="cpu")
    inputs = engine._encode([messages], [f"10{IM_END}"])
    with torch.inference_mode():
        steps = engine.model(**inputs).logits[0, -4:-1].float().log_softmax(-1)
    by_hand = sum(float(step[token]) for step, token in zip(steps, ids["10"], strict=True))
    assert scores[9] == pytest.approx(by_hand, abs=2e-3)
    assert scores[0] != pytest.approx(scores[9], abs=1e-2)


class TenOnly(Reader):
    """After "1" comes "0" with 0.99: the word "10" has 0.6 * 0.99, the word "1" 0.6 * 0.01."""

    def score(self, messages, choices):
        known = {"1": 0.006, "10": 0.594, "9": 0.2}
        return [math.log(known.get(choice, 1e-9)) for choice in choices]


def test_the_beginning_of_ten_is_no_one():
    mark = Judge(TenOnly()).grade(CASE)
    assert mark.overall == pytest.approx((0.006 * 1 + 0.594 * 10 + 0.2 * 9) / 0.8, abs=1e-3)


# ---- what it reads


def test_text_then_pictures_then_the_request():
    for messages in (explain_messages(CASE), score_messages(CASE, "richness", "good"), json_messages(CASE)):
        kinds = [part["type"] for part in messages[0]["content"]]
        assert len(messages) == 1 and kinds == ["text", "image", "image", "text"]
    head = explain_messages(CASE)[0]["content"][0]["text"]
    for criterion in CRITERIA:
        # All of it before the request is the same, so it is computed once.
        assert score_messages(CASE, criterion, "good")[0]["content"][0]["text"] == head
    assert head.index("How many ponds?") < head.index("Three ponds.") < head.index("Two ponds.")
    blind = Case(CASE.question, CASE.reference, CASE.answer)
    assert "<picture>" not in text_of(score_messages(blind, "overall", ""))


def test_official_text_stands_in_its_own_frame():
    text = text_of(json_messages(CASE, "OFFICIAL"))
    assert text.startswith("OFFICIAL\n\n[Question]\nHow many ponds?") and text.endswith("<picture><picture>")
    assert "[The Start of Assistant’s Answer]\nTwo ponds.\n[The End of Assistant’s Answer]" in text
    assert "Richness" not in text


def test_pairs_differ_in_the_answers_alone():
    one = text_of(pair_messages("q", "r", "red", "blue", ()))
    two = text_of(pair_messages("q", "r", "blue", "red", ()))
    assert one.replace("red", "*").replace("blue", "red").replace("*", "blue") == two


def test_dimensions_are_the_same_everywhere():
    assert tuple(DIMENSIONS) == READ_DIMENSIONS and list(CRITERIA)[-1] == "overall" and len(CRITERIA) == 7


# ---- replies of a server


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(GOOD),
        f"The answer {{is}} thin. {{}} {json.dumps(GOOD)} That is all.",
        json.dumps(GOOD | {"overall": 3}) + " no, rather " + json.dumps(GOOD),
        f"```json\n{json.dumps(GOOD, indent=1)}\n```",
        str({**{name: 7 for name, _ in DIMENSIONS.values()}, "Overall Score": 7}),
    ],
)
def test_readable_replies(text):
    assert read_scores(text) == dict.fromkeys(CRITERIA, 7.0)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "8 out of 10",
        json.dumps(GOOD | {"richness": 11}),
        json.dumps(GOOD | {"richness": 0}),
        json.dumps(GOOD | {"richness": "8"}),
        json.dumps(GOOD | {"richness": True}),
        json.dumps(GOOD | {"richness": math.nan}),
        json.dumps(GOOD | {"richness": None}),
        json.dumps({key: 7 for key in DIMENSIONS}),
        json.dumps(list(GOOD.values())),
        "{" * 3000,
        '{"a": ' * 3000,
        "{'a': " + "[" * 3000 + "}",
    ],
)
def test_unreadable_replies(text):
    with pytest.raises(ValueError):
        read_scores(text)


def test_nothing_in_a_reply_is_run(tmp_path):
    """The benchmark's own script calls eval on the reply."""
    target = tmp_path / "run"
    with pytest.raises(ValueError):
        read_scores(f"{{'creativity': __import__('pathlib').Path({str(target)!r}).touch()}}")
    assert not target.exists()


def test_retries_are_bounded_and_sampled():
    backend = Writer("nonsense", json.dumps(GOOD | {"overall": 12}), json.dumps(GOOD))
    judge = Judge(backend, JudgeOptions(retries=2))
    mark = judge.grade(CASE)
    assert mark.valid and mark.overall == 7 and (judge.replies_asked, judge.replies_used) == (3, 1)
    assert [options["temperature"] for options in backend.options] == [0, 0.7, 0.7]
    assert [options["seed"] for options in backend.options] == [0, 1, 2]
    hopeless = Judge(Writer("nonsense"), JudgeOptions(retries=1))
    mark = hopeless.grade(CASE)
    assert not mark.valid and mark.scores == {} and mark.overall is None and hopeless.replies_asked == 2
    assert "no JSON object" in mark.reason and mark.explanation == "nonsense"


def test_preferences_without_probabilities():
    assert Judge(Writer('{"better": "B"}')).prefer(CASE, "x") == 0.0
    assert Judge(Writer("neither")).prefer(CASE, "x") is None


class FakeServer:
    """An OpenAI-compatible server without log-probabilities that replies from a list; the last one repeats."""

    def __init__(self, *replies):
        self.replies, self.requests = list(replies), []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.requests.append(request)
                if not request.get("stream"):
                    return self.send_error(400, "prompt_logprobs is unknown")
                asked = request["messages"][0]["content"]
                explains = "no numbers yet" in str(asked)
                text = "an explanation" if explains else outer.replies[0]
                if not explains and len(outer.replies) > 1:
                    outer.replies.pop(0)
                self.send_response(200)
                self.send_header("Content-Type", "text/event-stream")
                self.end_headers()
                for piece, reason in ((text, None), ("", "stop")):
                    choice = {"index": 0, "delta": {"content": piece}, "finish_reason": reason}
                    body = {"id": "1", "object": "chat.completion.chunk", "created": 0, "model": "m"}
                    self.wfile.write(f"data: {json.dumps(body | {'choices': [choice]})}\n\n".encode())
                self.wfile.write(b"data: [DONE]\n\n")

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def backend(self):
        return OpenAIBackend(f"http://127.0.0.1:{self.server.server_port}/v1", "m")

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def report_of(out):
    return json.loads(out.with_name(f"{out.name}.run.json").read_text())


@pytest.mark.parametrize(
    ("replies", "valid_rate", "usable"),
    [
        (["garbage {"], 0.0, 0.0),
        (["So: " + json.dumps(GOOD)], 1.0, 1.0),
        ([json.dumps(GOOD | {"creativity": 99})], 0.0, 0.0),
        # The first answer takes three tries, the other seven one each: 8 of 10 replies are used.
        (["no", "no", json.dumps(GOOD)], 1.0, 0.8),
    ],
)
def test_a_server_without_probabilities(replies, valid_rate, usable, answers, tmp_path, monkeypatch):
    server = FakeServer(*replies)
    try:
        code = run(monkeypatch, server.backend(), answers, tmp_path / "mark/x", "--no_images", "--answer_model", "y")
    finally:
        server.close()
    report = report_of(tmp_path / "mark/x")
    assert code == (0 if valid_rate else 1)
    assert report["valid_rate"] == valid_rate and report["json_replies_usable"] == usable
    assert report["by_probability"] is False and report["not_answered"] == 1 and report["n"] == 9
    # 8 answers, at most three tries each, one explanation and one vain question for probabilities.
    assert len(server.requests) <= 8 * 3 + 2
    marks = read_marks(tmp_path / "mark/x").rows
    assert sum(mark.valid for mark in marks) == round(8 * valid_rate)


def test_a_server_that_is_away_stops_the_run(answers, tmp_path, monkeypatch):
    server = FakeServer("x")
    server.close()
    with pytest.raises(BackendError):
        run(monkeypatch, server.backend(), answers, tmp_path / "mark/x", "--no_images")
    assert not (tmp_path / "mark/x/0.json").exists()


# ---- real models


def test_the_nano_judge_from_end_to_end(nano, tmp_path, monkeypatch, capsys):
    answers = write_answers(tmp_path / "x-gene", dialogues=2, turns=2, pictures=1, failed=((0, 1), (1, 1)))
    monkeypatch.setattr(nano, "close", lambda: None)
    assert run(monkeypatch, nano, answers, tmp_path / "mark/x", "--explanation_tokens", "8", "--answer_model", "y") == 0
    marks = read_marks(tmp_path / "mark/x")
    assert len(marks.rows) == 4 and marks.images_shown == (True,) and not marks.self_judged
    bad = [mark for mark in marks.rows if not mark.valid]
    assert [mark.key for mark in bad] == [("0", 1), ("1", 1)] and bad[0].reason.startswith(
        "no answer was given: no memory"
    )
    assert {mark.length for mark in marks.rows if mark.valid} == {len("noun00a noun00b other")}
    out = capsys.readouterr().out.strip().splitlines()
    report = json.loads(out[-1])
    assert report == report_of(tmp_path / "mark/x")
    assert report["valid_rate"] == 1.0 and report["by_probability"] and report["seconds_per_turn"] > 0
    assert {"commit", "command", "args", "versions", "hardware", "seed", "n", "seconds"} <= report.keys()
    assert str(tmp_path) not in out[-1]


def test_pictures_and_prompt_are_computed_once_a_turn(nano, monkeypatch):
    seen, prefill = [], nano._decoder.prefill

    def spy(prompt, known, layers):
        seen.append((len(prompt.ids) - known, sum(media.start >= known for media in prompt.media)))
        return prefill(prompt, known, layers)

    monkeypatch.setattr(nano._decoder, "prefill", spy)
    judge = Judge(nano, JudgeOptions(explanation_tokens=4))
    judge.forget()
    assert judge.grade(CASE).valid
    assert len(seen) == 1 + len(CRITERIA)
    assert [pictures for _, pictures in seen] == [2] + [0] * len(CRITERIA)
    assert max(tokens for tokens, _ in seen[1:]) < seen[0][0] / 4


def test_a_judge_that_talks_nonsense_still_scores_validly(tiny):
    """Random weights, made sharp: the reply is noise, every score is on the scale."""
    backend = TransformersBackend(lively_engine(tiny))
    try:
        judge = Judge(backend, JudgeOptions(explanation_tokens=4))
        cases = [
            Case(f"q{n}?", "three ponds", answer) for n, answer in enumerate(["", "{}", "42" * 30, "耕地<|im_end|>"])
        ]
        marks = [judge.grade(case) for case in cases]
    finally:
        backend.close()
    assert all(mark.valid for mark in marks)
    assert all(1 <= score <= 10 for mark in marks for score in [*mark.scores.values(), mark.overall])
    assert all(list(mark.scores) == list(DIMENSIONS) for mark in marks)


def test_what_is_too_long_is_said_and_not_cut(nano):
    """Of a longer dialogue a backend drops the beginning; here that would be the reference."""
    long = Case("q", "reference " * 20000, "answer")
    mark = Judge(nano).grade(long)
    assert not mark.valid and "tokens" in mark.reason


# ---- files


def test_one_dialogue_does_not_depend_on_another(answers):
    rows = read_answers(answers)
    backend = Reader()
    judge_dialogue(Judge(backend), rows[0], [])
    assert backend.forgotten == 1


def test_dialogues_in_the_order_of_their_numbers(tmp_path):
    folder = write_answers(tmp_path / "many", dialogues=11, turns=1, pictures=0, failed=())
    (folder / ".7.json.part").write_text("half")
    assert [answers.name for answers in read_answers(folder)] == [str(number) for number in range(11)]


def test_single_questions_are_dialogues_of_one_turn(tmp_path):
    line = {"id": "a", "turn": 0, "question": "q", "answer": "r", "prediction": "p", "status": "ok", "image_ids": ["i"]}
    (tmp_path / "predictions.jsonl").write_text(f"{json.dumps(line)}\n{json.dumps(line | {'id': 'b'})}\n")
    found = read_answers(tmp_path)
    assert [one.id for one in found] == ["a", "b"] and found[0].images == ("i",) and len(found[0].turns) == 1


def test_bad_folders_are_named(tmp_path):
    with pytest.raises(MissingPathError, match="no such folder"):
        read_answers(tmp_path / "none")
    with pytest.raises(InputError, match="no \\*.json"):
        read_answers(tmp_path)
    (tmp_path / "0.json").write_text('{"id": "0", "turns": [{"question": "q"}]}')
    with pytest.raises(InputError, match="prediction"):
        read_answers(tmp_path)


def test_a_missing_picture_is_found_before_the_model_is_loaded(answers, tmp_path, monkeypatch):
    (tmp_path / "pics/2_1.png").unlink()
    monkeypatch.setattr(command, "connect", lambda args: pytest.fail("loaded"))
    words = ["judge", "--answers", str(answers), "--out", str(tmp_path / "m"), "--image_folder", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(MissingPathError, match="2_1.png"):
        command.main()


class Mortal(Reader):
    """Kills its process in the middle of the second dialogue."""

    def score(self, messages, choices):
        if len(self.asked) == 3 * 7 + 9:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().score(messages, choices)


def test_a_killed_run_goes_on_with_the_same_result(answers, tmp_path, monkeypatch):
    out, whole = tmp_path / "mark/x", tmp_path / "whole/x"
    child = os.fork()
    if child == 0:
        signal.alarm(60)
        try:
            run(monkeypatch, Mortal(), answers, out)
        finally:
            os._exit(0)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    assert [path.name for path in out.iterdir()] == ["0.json"]
    # As if it had died while writing.
    (out / "1.json.part").write_text("{")
    backend = Reader()
    assert run(monkeypatch, backend, answers, out) == 0
    assert len(backend.asked) == 5 * 7
    assert run(monkeypatch, Reader(), answers, whole) == 0
    assert sorted(path.name for path in out.iterdir()) == ["0.json", "1.json", "2.json"]
    for number in range(3):
        assert (out / f"{number}.json").read_bytes() == (whole / f"{number}.json").read_bytes()
    idle = Reader()
    run(monkeypatch, idle, answers, out)
    assert not idle.asked
    assert report_of(out)["scores"] == report_of(whole)["scores"]


def test_new_answers_are_judged_again_and_other_settings_refused(answers, tmp_path, monkeypatch):
    out = tmp_path / "mark/x"
    run(monkeypatch, Reader(), answers, out)
    content = json.loads((answers / "2.json").read_text())
    content["turns"][0]["prediction"] = "new"
    (answers / "2.json").write_text(json.dumps(content))
    backend = Reader()
    run(monkeypatch, backend, answers, out)
    assert len(backend.asked) == 3 * 7
    with pytest.raises(InputError, match="other settings"):
        run(monkeypatch, Reader(), answers, out, "--no_images")
    args = arguments(answers)
    other = settings_digest(JudgeOptions(official="other"), args)
    with pytest.raises(InputError):
        already_judged(out, read_answers(answers)[0], other)


# ---- a judge of itself


def test_models_are_compared_by_their_weights(tiny, tmp_path):
    shutil.copytree(tiny, tmp_path / "renamed")
    adapter = make_adapter(tmp_path / "adapter", load_model(tiny, dtype=torch.float32), tiny, {"lora_rank": 4})
    assert judges_itself(tiny, [str(tmp_path / "renamed")])
    assert judges_itself(tiny, [tiny, adapter]) and judges_itself(adapter, [adapter])
    assert judges_itself(tiny, [adapter]) and judges_itself(adapter, [tiny])
    assert not judges_itself(str(NANO_DIR), [tiny, adapter])
    assert judges_itself("models/Some-3B", ["owner/some-3b"]) and not judges_itself("models/Some-3B", ["owner/other"])


def test_self_judging_warns_and_strict_refuses(answers, tmp_path, monkeypatch, caplog):
    record = answers.with_name("x-gene.run.json")
    assert check_self(arguments(answers)) is None
    with pytest.raises(InputError, match="--answer_model"):
        check_self(arguments(answers, strict=True))
    record.write_text(json.dumps({"settings": {"model": "some/stub", "adapter": None}}))
    with pytest.raises(InputError, match="own answers"):
        check_self(arguments(answers, strict=True))
    assert not check_self(arguments(answers, judge="another", strict=True))
    run(monkeypatch, Reader(), answers, tmp_path / "mark/x")
    assert "self_judged" in caplog.text
    assert report_of(tmp_path / "mark/x")["self_judged"] is True and read_marks(tmp_path / "mark/x").self_judged
