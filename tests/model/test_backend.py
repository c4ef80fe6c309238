"""The interface: options, replies, errors, and what load_backend builds."""

import asyncio
import threading

import pytest
import torch

from src.errors import InputError
from src.model.backend import Backend, BackendError, GenerateOptions, Reply, load_backend
from src.model.batcher import TransformersBackend
from src.model.engine import Engine
from src.model.load import load_processor
from src.model.merge import merge_adapters
from src.model.openai_backend import OpenAIBackend
from src.model.reply import MESSAGES
from tests.model.lively import ask
from tests.tiny import picture


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_new_tokens": 0},
        {"temperature": -1},
        {"top_p": 0},
        {"top_p": 1.5},
        {"top_k": -1},
        {"repetition_penalty": 0},
    ],
)
def test_options_outside_their_range_are_refused(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        GenerateOptions(**wrong)


def test_a_reply_read_by_a_thread():
    reply = Reply()
    with pytest.raises(TimeoutError, match="still being written"):
        reply.result(0.01)
    threading.Timer(0.02, lambda: (reply.push("耕"), reply.push("地"), reply.finish("stop"))).start()
    assert reply.result(5) == "耕地" == reply.text
    assert reply.finish_reason == "stop"
    reply.finish("cut", BackendError("cut"))
    assert reply.result(0) == "耕地", "the first end counts"


def test_a_reply_read_by_an_event_loop():
    async def read(reply):
        return [piece async for piece in reply]

    async def main():
        reply = Reply()
        first, second = asyncio.create_task(read(reply)), asyncio.create_task(read(reply))
        await asyncio.sleep(0.01)
        writer = threading.Thread(target=lambda: [reply.push(letter) for letter in "abc"])
        writer.start()
        writer.join()
        await asyncio.sleep(0.01)
        threading.Thread(target=lambda: (reply.push("d"), reply.finish("stop"))).start()
        return await first, await second, [piece async for piece in reply]

    for pieces in asyncio.run(main()):
        assert "".join(pieces) == "abcd"
    assert pieces == ["abcd"], "a late reader gets everything at once"


def test_an_error_comes_after_the_text():
    reply = Reply()
    reply.push("half")
    reply.fail(BackendError("cut", "ReadError"))

    async def read():
        pieces = []
        try:
            async for piece in reply:
                pieces.append(piece)
        except BackendError as error:
            return pieces, error

    pieces, error = asyncio.run(read())
    assert pieces == ["half"] == [error.partial]
    assert reply.finish_reason == "cut" and "不完整" in error.message("zh")
    with pytest.raises(BackendError, match="incomplete"):
        reply.result(0)


def test_a_writer_outlives_its_readers_loop():
    """A tab that closed takes its event loop's task away; the engine thread must not notice."""
    reply = Reply()

    async def leave():
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(aiter(reply)), 0.01)

    asyncio.run(leave())
    reply.push("still here")
    reply.finish("stop")
    assert reply.result(0) == "still here"


def test_cancel_calls_the_backend_once_and_never_after_the_end():
    calls = []
    reply = Reply()
    reply.on_cancel(lambda: calls.append("early"))
    reply.cancel()
    assert reply.cancelled and calls == ["early"]
    reply.on_cancel(lambda: calls.append("late"))
    assert calls == ["early", "late"], "a cancel before the backend was ready is not lost"
    done = Reply()
    done.finish("stop")
    done.cancel()
    assert not done.cancelled


def test_every_error_speaks_both_languages():
    for code, texts in MESSAGES.items():
        assert set(texts) == {"zh", "en"} and all(texts.values())
        assert texts["en"] in str(BackendError(code))


def test_an_adapter_on_its_base_answers_as_the_merged_model(base, stage1, stage2, tmp_path):
    """Whoever trained an adapter need not merge it to serve it."""
    merged = tmp_path / "merged"
    merge_adapters([stage1, stage2], merged, base=base, dtype=torch.float32)
    questions = [ask("How much cropland?", picture()), ask("林地呢？")]
    answers, scores = [], []
    for arguments in ((stage2, base), (stage2, None), (str(merged), None)):
        backend = load_backend(*arguments, device="cpu")
        replies = [backend.stream(question, GenerateOptions(12, 0.0), "s") for question in questions]
        answers.append([reply.result(30) for reply in replies])
        scores.append(backend.score(questions[0], ["yes", "no"]))
        backend.close()
    assert answers[0] == answers[1] == answers[2]
    assert scores[0] == pytest.approx(scores[2], abs=1e-3)


def test_two_policies_side_by_side_answer_as_each_alone(base, stage1):
    """R15: with adapters folded in, users of different policies share a process and never a batch or a cache."""
    question = ask("How much cropland?", picture())
    engines = [Engine.load(base, device="cpu"), Engine.load(stage1, device="cpu")]
    alone = [engine.score(question, ["yes", "no"]) for engine in engines]
    texts = [engine.generate(question, max_new_tokens=8) for engine in engines]
    backends = [TransformersBackend(engine) for engine in engines]
    for _ in range(2):
        replies = [backend.stream(question, GenerateOptions(8, 0.0), "same name") for backend in backends]
        assert [reply.result(30) for reply in replies] == texts
    found = [backend.score(question, ["yes", "no"]) for backend in backends]
    assert found[0] == pytest.approx(alone[0], abs=1e-3) and found[1] == pytest.approx(alone[1], abs=1e-3)
    assert found[0] != pytest.approx(found[1], abs=1e-2)
    for backend in backends:
        backend.close()


@pytest.mark.parametrize("bits", [4, 8])
def test_quantised_models_stream(stage1, bits):
    backend = load_backend(stage1, bits=bits, device="cpu")
    reply = backend.stream(ask("How much cropland?", picture()), GenerateOptions(4, 0.0), "s")
    assert isinstance(reply.result(60), str) and reply.finish_reason in ("stop", "length")
    backend.close()


def test_load_backend_refuses_what_does_not_go_together(base):
    with pytest.raises(InputError, match="needs --api-base"):
        load_backend("m", backend="openai")
    with pytest.raises(InputError, match="chose its base itself"):
        load_backend("m", "b", backend="openai", api_base="http://127.0.0.1:1/v1")
    with pytest.raises(InputError, match="goes with --backend openai"):
        load_backend(base, api_base="http://127.0.0.1:1/v1")
    with pytest.raises(InputError, match="expected transformers or openai"):
        load_backend(base, backend="vllm")
    with pytest.raises(InputError, match="expected an address"):
        load_backend("m", backend="openai", api_base="127.0.0.1:8000")


def test_both_backends_keep_the_protocol(base, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    backends: list[Backend] = [
        load_backend(base, device="cpu"),
        load_backend("m", backend="openai", api_base="http://127.0.0.1:1/v1"),
    ]
    assert isinstance(backends[1], OpenAIBackend) and backends[1]._client.api_key == "secret"
    for backend in backends:
        assert {"backend", "model", "active", "waiting", "alive"} <= set(backend.status())
        backend.forget("unknown")
        backend.close()
        assert not backend.status()["alive"]


def test_the_processor_is_the_models_own(base):
    backend = load_backend(base, device="cpu")
    assert backend._encoder.processor.image_processor.size == load_processor(base).image_processor.size
    backend.close()
