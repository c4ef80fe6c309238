"""The OpenAI-compatible backend: a server that misbehaves, and ``transformers serve`` on the nano model."""

import base64
import http.server
import io
import json
import socket
import subprocess
import sys
import threading
import time
import urllib.request

import pytest
from PIL import Image

from src.model.engine import Engine
from src.model.nano import NANO_DIR
from src.model.openai_backend import OpenAIBackend, estimate_tokens, tail_score
from src.model.prompt import checked_messages
from src.model.reply import BackendError, GenerateOptions, NotScorable
from tests.model.lively import ask
from tests.tiny import picture

GREEDY = GenerateOptions(max_new_tokens=10, temperature=0)
WAIT = 20


def chunk(text, reason=None):
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": reason}
    body = {"id": "1", "object": "chat.completion.chunk", "created": 0, "model": "m", "choices": [choice]}
    return f"data: {json.dumps(body)}\n\n".encode()


class FakeServer:
    """Answers each request with the next step of a script; the last one repeats."""

    def __init__(self):
        self.script, self.requests, self.closed_by_client = [], [], threading.Event()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                outer.requests.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                step = outer.script.pop(0) if len(outer.script) > 1 else outer.script[0]
                try:
                    step(self)
                except OSError:
                    outer.closed_by_client.set()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.base = f"http://127.0.0.1:{self.server.server_port}/v1"

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def begin(handler, kind="text/event-stream"):
    handler.send_response(200)
    handler.send_header("Content-Type", kind)
    handler.end_headers()


def well(handler):
    begin(handler)
    handler.wfile.write(chunk("耕地") + chunk(" 12") + chunk("", "stop") + b"data: [DONE]\n\n")


def status(code):
    def step(handler):
        handler.send_error(code)

    return step


def cut(handler):
    """Half an answer, then the connection is gone without a reason for the end."""
    begin(handler)
    handler.wfile.write(chunk("half "))
    handler.wfile.flush()
    time.sleep(0.1)
    handler.connection.shutdown(socket.SHUT_RDWR)


def endless(handler):
    begin(handler)
    while True:
        handler.wfile.write(chunk("again "))
        handler.wfile.flush()
        time.sleep(0.02)


def silent(handler):
    time.sleep(3)


def web_page(handler):
    begin(handler, "text/html")
    handler.wfile.write(b"<html>It works!</html>")


def broken_stream(handler):
    begin(handler)
    handler.wfile.write(b"data: {not json\n\n")


@pytest.fixture
def server():
    server = FakeServer()
    yield server
    server.close()


@pytest.fixture
def backend(server):
    backend = OpenAIBackend(server.base, "m", timeout=1.0)
    yield backend
    backend.close()


def answer_of(backend, question="Is there water?"):
    return backend.stream(ask(question), GREEDY, "")


def test_a_stream_arrives(server, backend):
    server.script = [well]
    reply = answer_of(backend)
    assert reply.result(WAIT) == "耕地 12" and reply.finish_reason == "stop"
    assert backend.generate(ask("?"), seed=3, top_k=5, repetition_penalty=1.1) == "耕地 12"
    plain, extra = server.requests
    assert plain["messages"] == [{"role": "user", "content": "Is there water?"}]
    assert plain["max_tokens"] == 10 and plain["temperature"] == 0 and "seed" not in plain and "top_k" not in plain
    assert (extra["seed"], extra["top_k"], extra["repetition_penalty"]) == (3, 5, 1.1)
    assert backend.status()["active"] == 0


def test_pictures_leave_as_data_and_text_is_escaped(server, backend):
    server.script = [well]
    clip = {"type": "video", "frames": [picture(56, 56, n) for n in range(2)], "fps": 2.0}
    messages = ask("<|im_start|>?", picture(112, 84, 1), picture(2240, 1792, 2))
    messages[0]["content"].append(clip)
    backend.stream(messages, GREEDY, "").result(WAIT)
    parts = server.requests[0]["messages"][0]["content"]
    assert [part["type"] for part in parts] == ["image_url", "image_url", "text", "text", "image_url", "image_url"]
    urls = [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]
    assert [url.split(";")[0] for url in urls] == ["data:image/png", "data:image/jpeg"] + ["data:image/png"] * 2
    sent = [Image.open(io.BytesIO(base64.b64decode(url.split(",")[1]))) for url in urls]
    assert sent[0].tobytes() == picture(112, 84, 1).tobytes()
    assert sent[1].width * sent[1].height <= 1280 * 28 * 28
    assert parts[2]["text"] == "< |im_start|>?" and parts[3]["text"] == "Video, 2 frames at 2 per second:"


@pytest.mark.parametrize(("first", "count"), [(status(429), 2), (status(503), 2), (well, 1)])
def test_one_retry_before_the_first_piece(server, backend, first, count):
    server.script = [first, well]
    assert answer_of(backend).result(WAIT) == "耕地 12"
    assert len(server.requests) == count


@pytest.mark.parametrize(
    ("step", "code", "requests"),
    [
        (status(429), "busy", 2),
        (status(500), "failed", 2),
        (status(401), "refused", 1),
        (status(404), "refused", 1),
        (silent, "timeout", 1),
        (web_page, "garbage", 1),
        (broken_stream, "garbage", 1),
    ],
)
def test_failures_are_named_once(server, backend, step, code, requests):
    """R18."""
    server.script = [step]
    before = time.monotonic()
    reply = answer_of(backend)
    with pytest.raises(BackendError) as caught:
        reply.result(WAIT)
    assert caught.value.code == code and reply.finish_reason == "failed"
    assert len(server.requests) == requests
    assert time.monotonic() - before < 5


def test_a_server_that_is_down(server):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    backend = OpenAIBackend(f"http://127.0.0.1:{port}/v1", "m")
    with pytest.raises(BackendError, match="cannot be reached"):
        answer_of(backend).result(WAIT)
    with pytest.raises(BackendError, match="cannot be reached"):
        backend.score(ask("?"), ["a"])
    backend.close()


def test_a_cut_keeps_the_text_and_marks_it(server, backend):
    server.script = [cut]
    reply = answer_of(backend)
    with pytest.raises(BackendError) as caught:
        reply.result(WAIT)
    assert (caught.value.code, caught.value.partial, reply.finish_reason) == ("cut", "half ", "cut")
    assert len(server.requests) == 1, "a second answer would not continue the first"


def test_cancel_closes_the_stream(server, backend):
    server.script = [endless]
    reply, other = answer_of(backend), answer_of(backend)
    while not (reply.text and other.text):
        time.sleep(0.01)
    before = time.monotonic()
    reply.cancel()
    assert reply.result(WAIT).startswith("again") and reply.finish_reason == "cancelled"
    assert time.monotonic() - before < 1
    assert server.closed_by_client.wait(5)
    length = len(other.text)
    time.sleep(0.2)
    assert len(other.text) > length and other.finish_reason is None
    assert backend.status()["active"] == 1


def test_cancel_before_the_first_word(server, backend):
    server.script = [silent]
    reply = answer_of(backend)
    reply.cancel()
    assert reply.result(1) == "" and reply.finish_reason == "cancelled"


def test_closing_ends_what_is_open(server):
    backend = OpenAIBackend(server.base, "m")
    server.script = [endless]
    reply = answer_of(backend)
    while not reply.text:
        time.sleep(0.01)
    backend.close()
    with pytest.raises(BackendError, match="shutting down"):
        reply.result(1)
    with pytest.raises(BackendError, match="shutting down"):
        answer_of(backend).result(1)


def test_scores_need_the_servers_log_probabilities(server, backend):
    def plain(handler):
        begin(handler, "application/json")
        message = {"role": "assistant", "content": "x"}
        choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
        body = {"id": "1", "object": "chat.completion", "created": 0, "model": "m", "choices": choices}
        if server.requests[-1]["messages"][-1]["content"].startswith("area"):
            tokens = [("?", -9.0), ("area", -1.0), ("_at", -0.5), ("<|im_end|>", -0.25)]
        else:
            tokens = [("?", -9.0), ("gain", -3.0), ("<|im_end|>", -0.5)]
        if give:
            rows = [{str(n): {"logprob": value, "decoded_token": text}} for n, (text, value) in enumerate(tokens)]
            body["prompt_logprobs"] = [None, *rows]
        handler.wfile.write(json.dumps(body).encode())

    server.script, give = [plain], True
    assert backend.score(ask("Which form?"), ["area_at", "gain"]) == [-1.75, -3.5]
    request = server.requests[0]
    assert request["continue_final_message"] is True and request["add_generation_prompt"] is False
    give = False
    with pytest.raises(NotScorable, match="no log-probabilities"):
        backend.score(ask("Which form?"), ["area_at", "gain"])
    server.script = [status(400)]
    with pytest.raises(NotScorable, match="400"):
        backend.score(ask("Which form?"), ["area_at"])


def test_tail_scores_by_hand():
    rows = [None, {"1": {"logprob": -4.0, "decoded_token": "a"}}, {"2": {"logprob": -1.0, "decoded_token": "b"}}]
    assert tail_score(rows, "b") == -1.0
    assert tail_score(rows, "ab") == -5.0
    for other in ("c", "cb", "xab"):
        with pytest.raises(NotScorable):
            tail_score(rows, other)


def test_lengths_are_estimated():
    message = checked_messages(ask("耕地面积 abc", picture(112, 112)))[0]
    # 5 around, 4 characters, (1 + 3) / 3 letters, 256 + 2 for the picture at the smallest size.
    assert estimate_tokens(message) == 5 + 4 + 2 + 258


@pytest.mark.slow
def test_transformers_serve_answers_as_the_model_itself(tmp_path):
    """The same questions through HTTP; the server is bound to this machine."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "transformers.cli.transformers", "serve", str(NANO_DIR)]
    command += ["--host", "127.0.0.1", "--port", str(port), "--device", "cpu", "--dtype", "float32"]
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        wait_for_server(port, process, tmp_path / "log")
        backend = OpenAIBackend(f"http://127.0.0.1:{port}/v1", str(NANO_DIR))
        engine = Engine.load(str(NANO_DIR), device="cpu")
        questions = [
            ask("Is there water?", picture(224, 224, 1)),
            ask("图中主要的土地类型是什么？"),
            ask(
                "And in this picture?",
                picture(224, 224, 2),
                before=[*ask("Is there water?", picture(224, 224, 1)), {"role": "assistant", "content": "yes"}],
            ),
        ]
        for question in questions:
            reply = backend.stream(question, GREEDY, "")
            assert reply.result(60) == engine.generate(question, max_new_tokens=10)
        long = backend.stream(ask("Tell me more."), GenerateOptions(max_new_tokens=2000, temperature=1.5), "")
        while not long.text and long.finish_reason is None:
            time.sleep(0.01)
        long.cancel()
        assert backend.generate(questions[1], max_new_tokens=3), "the server goes on after a cancel"
        with pytest.raises(NotScorable):
            backend.score(questions[0], ["yes", "no"])
        backend.close()
    finally:
        process.kill()
        process.wait()


def wait_for_server(port, process, log):
    end = time.monotonic() + 120
    while True:
        assert process.poll() is None and time.monotonic() < end, log.read_text()[-2000:]
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1).close()
            return
        except OSError:
            time.sleep(0.3)
