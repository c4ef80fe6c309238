"""Answering in groups: the same as one by one without reuse, with own answers in the history, failures apart."""

import http.server
import json
import threading

import pytest
import torch

from evaluation.model_generation.asking import Remote, Talk, Together
from evaluation.model_generation.sets import read_set
from src.model.openai_backend import OpenAIBackend
from src.model.reply import GenerateOptions
from tests.evaluation.model_generation.conftest import damage, mmdu_row

OPTIONS = GenerateOptions(max_new_tokens=8, temperature=0.0)


def by_id(answerer, dialogues):
    return {dialogue.id: answers for dialogue, answers in answerer.answer(dialogues)}


def one_by_one(engine, dialogue):
    """Every turn through ``model.generate``, everything encoded anew."""
    talk = Talk(dialogue)
    while not talk.done:
        talk.add(engine.generate(talk.ask(), max_new_tokens=8), 0, "stop")
    return [answer.prediction for answer in talk.answers]


def test_groups_answer_as_generate_does_turn_by_turn(engine, mmdu, single):
    for path in (mmdu, single):
        dialogues = read_set(path)
        found = by_id(Together(engine, OPTIONS), dialogues)
        assert set(found) == {dialogue.id for dialogue in dialogues}
        texts = {dialogue.id: [answer.prediction for answer in found[dialogue.id]] for dialogue in dialogues}
        assert texts == {dialogue.id: one_by_one(engine, dialogue) for dialogue in dialogues}
        assert len({text for row in texts.values() for text in row}) > 5
        assert all(answer.status == "ok" and 0 <= answer.tokens <= 8 for row in found.values() for answer in row)
        assert all((answer.finish == "length") == (answer.tokens == 8) for row in found.values() for answer in row)


def test_own_answers_are_in_the_history_and_not_computed_again(engine, mmdu, monkeypatch):
    together, seen = Together(engine, OPTIONS), []
    prefill = together.decoder.prefill

    def watched(prompt, known, layers):
        seen.append((engine.tokenizer.decode(prompt.ids), len(prompt.ids), known))
        return prefill(prompt, known, layers)

    monkeypatch.setattr(together.decoder, "prefill", watched)
    dialogue = read_set(mmdu)[2]
    answers = by_id(together, [dialogue])["2"]
    assert len(seen) == 4
    for turn in range(1, 4):
        text, length, known = seen[turn]
        for earlier in range(turn):
            assert answers[earlier].prediction in text
            assert f"reference 2.{earlier}" not in text
        # At most the last answer's end and the new question are new.
        assert known >= seen[turn - 1][1] and length - known < 40


def test_questions_about_one_picture_share_it(engine, single, monkeypatch):
    together, new = Together(engine, OPTIONS), []
    prefill = together.decoder.prefill

    def watched(prompt, known, layers):
        new.append([media.start >= known for media in prompt.media])
        return prefill(prompt, known, layers)

    monkeypatch.setattr(together.decoder, "prefill", watched)
    by_id(together, read_set(single))
    assert [row == [True] for row in new] == [n in (0, 4, 8) for n in range(10)]
    assert not together._shared, "a group leaves nothing to the next"


def test_a_group_gives_the_same_bits_every_time(engine, mmdu, monkeypatch):
    """What makes a run that goes on equal one that was not stopped."""
    dialogues, runs = read_set(mmdu), []
    for before in ([], dialogues[:2]):
        together, logits = Together(engine, OPTIONS), []
        by_id(together, before)
        step = together.decoder.step
        monkeypatch.setattr(together.decoder, "step", lambda step=step, kept=logits: kept.append(step()) or kept[-1])
        by_id(together, dialogues)
        runs.append(logits)
    assert len(runs[0]) == len(runs[1]) > 20
    assert all(torch.equal(a, b) for a, b in zip(*runs, strict=True))


def test_failures_are_failures_and_harm_nobody_else(engine, tmp_path):
    rows = [mmdu_row(number, 3, 1, tmp_path) for number in range(4)]
    rows[1]["image"] = ["/mmdu_pics/gone.png"]
    (tmp_path / "b.json").write_text(json.dumps(rows))
    dialogues = read_set(tmp_path / "b.json")
    damage(tmp_path / "mmdu_pics/2_0.png")
    found = by_id(Together(engine, OPTIONS), dialogues)
    for bad, reason in (("1", "gone.png"), ("2", "damaged")):
        assert [answer.status for answer in found[bad]] == ["failed"] * 3
        assert reason in found[bad][0].reason and "turn 0" in found[bad][2].reason
        assert not any(answer.prediction or answer.tokens for answer in found[bad])
    for good in ("0", "3"):
        assert [answer.prediction for answer in found[good]] == one_by_one(engine, dialogues[int(good)])


def test_a_dialogue_that_outgrows_the_context_fails_where_it_does(engine, mmdu):
    dialogue = read_set(mmdu)[2]
    answers = by_id(Together(engine, OPTIONS, context_tokens=140), [dialogue])["2"]
    statuses = [answer.status for answer in answers]
    assert statuses == sorted(statuses, reverse=True) and set(statuses) == {"ok", "failed"}
    first = answers[statuses.index("failed")].reason
    assert "more than the context of 140" in first


def test_a_group_without_memory_is_asked_one_by_one(engine, mmdu, monkeypatch):
    together = Together(engine, OPTIONS)
    step = together.decoder.step

    def narrow():
        if len(together.decoder.rows) > 2:
            raise MemoryError("no room")
        return step()

    monkeypatch.setattr(together.decoder, "step", narrow)
    dialogues = read_set(mmdu)
    found = by_id(together, dialogues)
    for dialogue in dialogues:
        assert [answer.prediction for answer in found[dialogue.id]] == one_by_one(engine, dialogue)


def test_a_dialogue_that_breaks_alone_keeps_what_it_answered(engine, mmdu, monkeypatch):
    together, calls = Together(engine, OPTIONS), []
    prefill = together.decoder.prefill

    def broken(prompt, known, layers):
        calls.append(known)
        if len(calls) == 3:
            raise RuntimeError("odd")
        return prefill(prompt, known, layers)

    monkeypatch.setattr(together.decoder, "prefill", broken)
    answers = by_id(together, [read_set(mmdu)[2]])["2"]
    assert [answer.status for answer in answers] == ["ok", "ok", "failed", "failed"]
    assert answers[2].reason == "RuntimeError: odd"


class Server:
    """An OpenAI-compatible server: answers with the number of messages it got, refuses what holds "(3.1)"."""

    def __init__(self):
        self.requests = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.requests.append(request)
                if "(3.1)" in json.dumps(request["messages"][-1]):
                    self.send_error(400)
                    return
                self.send_response(200)
                self.send_header("Content-Type", "text/event-stream")
                self.end_headers()
                for text, end in ((f"answer {len(request['messages'])}", None), ("", "length")):
                    choice = {"index": 0, "delta": {"content": text}, "finish_reason": end}
                    body = {"id": "1", "object": "chat.completion.chunk", "created": 0, "model": "m"}
                    self.wfile.write(f"data: {json.dumps(body | {'choices': [choice]})}\n\n".encode())
                self.wfile.write(b"data: [DONE]\n\n")

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.base = f"http://127.0.0.1:{self.server.server_port}/v1"


@pytest.fixture
def server():
    found = Server()
    yield found
    found.server.shutdown()
    found.server.server_close()


def test_a_server_is_asked_the_same_dialogues(server, mmdu):
    remote = Remote(OpenAIBackend(server.base, "m"), OPTIONS, workers=2)
    found = by_id(remote, read_set(mmdu))
    remote.close()
    assert [answer.prediction for answer in found["2"]] == ["answer 1", "answer 3", "answer 5", "answer 7"]
    assert [answer.status for answer in found["3"]] == ["ok", "failed"] and "refused" in found["3"][1].reason
    assert found["2"][0].finish == "length" and found["2"][0].tokens > 0
    last = next(request for request in server.requests if len(request["messages"]) == 7)
    assert [message["role"] for message in last["messages"]] == ["user", "assistant"] * 3 + ["user"]
    assert last["messages"][1]["content"] == "answer 1" and last["temperature"] == 0.0
    assert sum(part["type"] == "image_url" for part in last["messages"][0]["content"]) == 3


def test_no_turn_is_dropped_in_silence_before_a_server(server, mmdu):
    remote = Remote(OpenAIBackend(server.base, "m", context_tokens=110), OPTIONS, workers=2)
    answers = by_id(remote, [read_set(mmdu)[2]])["2"]
    remote.close()
    assert answers[-1].status == "failed"
    assert all("tokens" in answer.reason or "not asked" in answer.reason for answer in answers if answer.reason)
