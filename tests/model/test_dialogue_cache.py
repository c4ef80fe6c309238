"""Reuse between turns changes how long an answer takes, and never the answer."""

import numpy as np
import pytest
import torch

from src.model.batcher import TransformersBackend
from src.model.dialogue_cache import DialogueCache, common_prefix, size_of
from src.model.prompt import PromptEncoder, checked_messages
from src.model.reply import GenerateOptions
from tests.model.lively import answered, ask, lively_engine
from tests.tiny import picture

GREEDY = GenerateOptions(max_new_tokens=8, temperature=0)


@pytest.fixture(scope="module")
def engine(base):
    return lively_engine(base)


@pytest.fixture(scope="module")
def backend(engine):
    backend = TransformersBackend(engine)
    yield backend
    backend.close()


def layers(tokens, value=1.0):
    return [(torch.full((1, 1, tokens, 2), value), torch.full((1, 1, tokens, 2), value))] * 2


def test_the_longest_common_prefix_is_reused_but_never_all():
    cache = DialogueCache(10_000)
    cache.put("a", np.array([1, 2, 3, 4]), layers(4))
    assert cache.match("a", np.array([1, 2, 9, 9]))[0] == 2
    length, kept = cache.match("a", np.array([1, 2, 3, 4]))
    assert length == 3 and kept[0][0].shape == (1, 1, 3, 2)
    assert cache.match("a", np.array([9, 2, 3])) == (0, [])
    assert cache.match("b", np.array([1, 2, 3])) == (0, [])
    assert common_prefix(np.array([], dtype=np.int64), np.array([1])) == 0


def test_least_recently_used_goes_first_and_the_budget_holds():
    size = size_of(layers(4))
    assert size == 2 * 2 * 4 * 2 * 4
    cache = DialogueCache(2 * size)
    for name in "ab":
        cache.put(name, np.arange(4), layers(4))
    cache.match("a", np.arange(4))
    cache.put("c", np.arange(4), layers(4))
    assert cache.match("b", np.arange(4))[0] == 0
    assert cache.match("a", np.arange(4))[0] == cache.match("c", np.arange(4))[0] == 3
    assert cache.bytes == 2 * size
    cache.put("big", np.arange(100), layers(100))
    assert len(cache) == 2, "what is over the budget alone is not kept and drives nobody out"
    cache.forget("a")
    cache.forget("unknown")
    assert len(cache) == 1


def test_a_prompt_equals_what_the_processor_makes(engine, family):
    clip = {"type": "video", "frames": [picture(112, 84, number) for number in range(6)], "fps": 4.0}
    messages = checked_messages(
        [
            {"role": "user", "content": [clip, {"type": "image", "image": picture(140, 100)}]},
            {"role": "assistant", "content": "耕地"},
            *ask("And here?", picture(84, 168, 3)),
        ]
    )
    encoder = PromptEncoder(engine.model, engine.processor)
    for _ in range(2):
        prompt = encoder.encode(messages)  # the second time, shapes are remembered and pixels are not made
        reference = engine._encode([messages])
        assert prompt.ids.tolist() == reference["input_ids"][0].tolist()
        names = ("mm_token_type_ids", "image_grid_thw", "video_grid_thw", "second_per_grid_ts")
        given = {name: reference[name] for name in names if name in reference}
        if family == "qwen2_5_vl":
            assert given["second_per_grid_ts"].tolist() == [0.5], "two frames at four per second"
        positions, _ = engine.model.model.get_rope_index(reference["input_ids"], **given)
        assert torch.equal(prompt.positions, positions[:, 0])
        pixels = encoder.pixel_inputs(prompt.media)
        assert set(pixels) == {"pixel_values", "image_grid_thw", "pixel_values_videos", "video_grid_thw"}
        assert all(torch.equal(pixels[name], reference[name]) for name in pixels)
    assert sum(map(encoder.count_tokens, messages)) + encoder.template_tokens == pytest.approx(len(prompt.ids), abs=6)


def test_fifteen_turns_of_two_interleaved_dialogues_answer_as_full_runs(engine, backend):
    """R13. One field of the model holds rotary offsets: naive reuse of two dialogues was wrong in 4 of 5 turns."""
    dialogues = {"a": [], "b": []}
    distinct = set()
    for turn in range(15):
        for number, (name, messages) in enumerate(dialogues.items()):
            pictures = [picture(140 + 28 * number, 112, 10 * number + turn)] if turn in (0, 5 + number) else []
            question = ask(f"第{turn + 1}问: what changed in {name}?", *pictures, before=messages)
            reply = backend.stream(question, GREEDY, name).result(30)
            assert reply == engine.generate(question, max_new_tokens=8), (name, turn)
            distinct.add(reply)
            dialogues[name] = answered(question, reply)
    assert len(distinct) >= 10, "answers that are all alike would prove nothing"


def test_logits_with_reuse_equal_those_without(engine, backend):
    first = ask("What is it?", picture(140, 112, 1))
    reply = backend.stream(first, GREEDY, "logits").result(30)
    second = checked_messages(ask("And here?", picture(112, 112, 2), before=answered(first, reply)))
    prompt = backend._encoder.encode(second)
    matched, kept = backend.dialogues.match("logits", prompt.key)
    assert matched > 20
    with torch.inference_mode():
        reused, _ = backend._decoder.prefill(prompt, matched, kept)
        whole, _ = backend._decoder.prefill(prompt, 0, [])
        assert torch.allclose(reused, whole, atol=1e-4 * float(whole.abs().max()))
        plain = engine.model(**engine._encode([second])).logits[:, -1]
    assert torch.allclose(whole, plain, atol=1e-4 * float(whole.abs().max()))


def test_only_what_is_new_is_computed(engine, backend, monkeypatch):
    seen = []
    real = type(engine.model).forward

    def forward(self, *args, **kwargs):
        seen.append((kwargs["input_ids"].shape[1], "pixel_values" in kwargs))
        return real(self, *args, **kwargs)

    monkeypatch.setattr(type(engine.model), "forward", forward)
    first = ask("What is it?", picture(140, 112, 1))
    reply = backend.stream(first, GREEDY, "new").result(30)
    whole = seen[0]
    seen.clear()
    backend.stream(ask("And?", before=answered(first, reply)), GREEDY, "new").result(30)
    assert whole[1] and not seen[0][1], "the picture is computed once"
    assert seen[0][0] < whole[0]
    seen.clear()
    backend.forget("new")
    backend.stream(ask("And?", before=answered(first, reply)), GREEDY, "new").result(30)
    assert seen[0] > whole and seen[0][1]


def test_another_picture_of_the_same_size_is_not_the_same(engine, backend):
    one, other = ask("What is it?", picture(112, 112, 1)), ask("What is it?", picture(112, 112, 2))
    backend.stream(one, GREEDY, "swap").result(30)
    assert backend.stream(other, GREEDY, "swap").result(30) == engine.generate(other, max_new_tokens=8)
    assert engine.generate(one, max_new_tokens=8) != engine.generate(other, max_new_tokens=8)


def test_an_edited_earlier_turn_is_computed_again(engine, backend):
    first = ask("What is it?", picture(112, 112, 1))
    reply = backend.stream(first, GREEDY, "edit").result(30)
    backend.stream(ask("More?", before=answered(first, reply)), GREEDY, "edit").result(30)
    changed = ask("More?", before=answered(first, "It is a lake."))
    assert backend.stream(changed, GREEDY, "edit").result(30) == engine.generate(changed, max_new_tokens=8)


def test_a_budget_of_nothing_keeps_nothing(engine):
    backend = TransformersBackend(engine, cache_bytes=0)
    backend.stream(ask("What?"), GREEDY, "a").result(30)
    assert backend.status()["dialogues"] == 0
    backend.close()


def test_a_dialogue_forgotten_while_it_is_answered_is_not_kept(backend):
    reply = backend.stream(ask("What?"), GenerateOptions(max_new_tokens=200, temperature=0), "gone")
    backend.forget("gone")
    reply.result(30)
    backend.generate(ask("next"), max_new_tokens=1)
    assert "gone" not in backend.dialogues._entries
