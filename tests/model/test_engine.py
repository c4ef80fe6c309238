"""Answers do not depend on who else is in the batch, and equal what the model computes by hand."""

import itertools

import pytest
import torch

from src.errors import InputError, MissingPathError
from src.model.engine import Engine, pick_device, with_images
from src.model.load import load_model, load_policy, load_processor
from tests.tiny import picture


def ask(text, *pictures, before=()):
    parts = [{"type": "image", "image": image} for image in pictures]
    return [*before, {"role": "user", "content": [*parts, {"type": "text", "text": text}]}]


@pytest.fixture(scope="module")
def engine(base):
    """A tiny model with weights large enough that its greedy answers depend on the question."""
    model = load_model(base, dtype=torch.float32)
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(6)
    return Engine(model, load_processor(base))


@pytest.fixture(scope="module")
def conversations():
    earlier = [*ask("What is it?", picture(100, 100, 4)), {"role": "assistant", "content": "forest"}]
    return [
        ask("Is there water?"),
        ask("图中主要的土地类型是什么？" * 4, picture(112, 112, 0)),
        ask("Compare.", picture(140, 100, 1), picture(224, 196, 2)),
        ask("A long question without a picture. " * 12),
        ask("And now?", picture(84, 168, 3), before=earlier),
        [
            {"role": "system", "content": "Answer briefly."},
            *ask("Compare.", picture(224, 196, 2), picture(140, 100, 1)),
        ],
    ]


def test_a_mixed_batch_answers_as_one_by_one(engine, conversations):
    """With right padding or lost masks the shorter rows of a batch answer differently, silently."""
    alone = [engine.generate(messages, max_new_tokens=10) for messages in conversations]
    assert len(set(alone)) >= 5, "answers that are all alike would prove nothing"
    assert engine.generate_batch(conversations, max_new_tokens=10) == alone
    assert engine.generate_batch(conversations, max_new_tokens=10, batch_size=4) == alone


def test_pictures_and_their_order_matter(engine, conversations):
    both = conversations[2]
    swapped = ask("Compare.", picture(224, 196, 2), picture(140, 100, 1))
    blank = ask("Compare.", picture(140, 100, 1), picture(224, 196, 9))
    scores = [engine.score(messages, ["yes"])[0] for messages in (both, swapped, blank)]
    assert min(abs(a - b) for a, b in itertools.combinations(scores, 2)) > 1e-3


def test_greedy_is_the_most_probable_token_by_hand(engine, conversations):
    messages = with_images(conversations[1])
    prompt = engine.processor.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    inputs = engine.processor(text=[prompt], images=[picture(112, 112, 0)], return_tensors="pt")
    with torch.no_grad():
        best = int(engine.model(**inputs).logits[0, -1].argmax())
    answer = engine.generate(conversations[1], max_new_tokens=1)
    assert answer == engine.tokenizer.decode([best], skip_special_tokens=True)


def test_scores_are_log_probabilities_of_whole_answers(engine, conversations):
    choices = ["yes", "no", "cropland 40%"]
    found = engine.score(conversations[2], choices)
    messages = with_images(conversations[2])
    prompt = engine.processor.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    images = [part["image"] for part in messages[0]["content"][:2]]
    for choice, score in zip(choices, found, strict=True):
        text = f"{prompt}{choice}<|im_end|>"
        inputs = engine.processor(text=[text], images=images, return_tensors="pt")
        tail = len(engine.tokenizer(f"{choice}<|im_end|>")["input_ids"])
        with torch.no_grad():
            log_probs = engine.model(**inputs).logits[0].log_softmax(-1)
        tokens = inputs["input_ids"][0, -tail:]
        expected = sum(float(log_probs[-tail - 1 + place, token]) for place, token in enumerate(tokens))
        assert score == pytest.approx(expected, abs=1e-3)
        assert score < 0
    assert engine.score(conversations[2], choices, batch_size=1) == pytest.approx(found, abs=1e-3)


def test_sampling_repeats_with_its_seed_and_leaves_the_global_state(engine, conversations):
    options = {"max_new_tokens": 6, "temperature": 1.5}
    torch.manual_seed(7)
    expected_next = torch.rand(1)
    torch.manual_seed(7)
    first = engine.generate_batch(conversations, seed=1, **options)
    assert torch.equal(torch.rand(1), expected_next)
    assert engine.generate_batch(conversations, seed=1, **options) == first
    assert engine.generate_batch(conversations, seed=2, **options) != first


def test_several_answers_come_in_the_order_of_the_questions(engine, conversations):
    options = {"max_new_tokens": 6, "temperature": 1e-4, "seed": 0}
    greedy = engine.generate_batch(conversations, max_new_tokens=6)
    sampled = engine.generate_batch(conversations, num_return=3, batch_size=2, **options)
    assert sampled == [[answer] * 3 for answer in greedy], "almost no temperature is almost greedy"
    spread = engine.generate_batch(conversations[:1], num_return=8, max_new_tokens=6, temperature=2.0, seed=0)
    assert len(set(spread[0])) > 1
    with pytest.raises(InputError, match="needs temperature > 0"):
        engine.generate_batch(conversations, num_return=2)


def test_the_checkpoints_own_sampling_settings_are_not_used(engine, conversations):
    """Qwen's generation_config holds a repetition penalty and a sampling temperature, which evaluation must not get."""
    expected = engine.generate_batch(conversations, max_new_tokens=10)
    saved = engine.model.generation_config
    changed = type(saved).from_dict(saved.to_dict() | {"repetition_penalty": 5.0, "do_sample": True, "top_k": 1})
    engine.model.generation_config = changed
    try:
        assert engine.generate_batch(conversations, max_new_tokens=10) == expected
    finally:
        engine.model.generation_config = saved
    assert engine.generate_batch(conversations, max_new_tokens=10, repetition_penalty=5.0) != expected


def test_training_goes_on_in_training_mode(engine):
    engine.model.train()
    assert engine.generate(ask("Is there water?"), max_new_tokens=3) == engine.generate(
        ask("Is there water?"), max_new_tokens=3
    )
    assert engine.model.training
    engine.model.eval()
    engine.score(ask("Is there water?"), ["yes"])
    assert not engine.model.training


def test_progress_goes_to_the_error_stream(engine, capsys):
    engine.generate_batch([ask("Is there water?")], max_new_tokens=1, progress="answers")
    shown = capsys.readouterr()
    assert "answers" in shown.err and shown.out == ""


def test_pictures_fill_empty_parts_in_order():
    first, second = picture(seed=1), picture(seed=2)
    messages = [{"role": "user", "content": [{"type": "image"}, {"type": "image"}, {"type": "text", "text": "?"}]}]
    filled = with_images(messages, [first, second])
    assert [part.get("image") for part in filled[0]["content"]] == [first, second, None]
    assert "image" not in messages[0]["content"][0], "the caller's messages stay as they are"


@pytest.mark.parametrize(
    ("content", "images", "message"),
    [
        ([{"type": "image"}], 0, "none is left"),
        ([{"type": "text", "text": "?"}], 1, "1 pictures for 0 empty image parts"),
        ([{"type": "image"}], 3, "3 pictures for 1 empty image parts"),
        ([{"type": "video"}], 0, "type 'video'"),
        ("before <|image_pad|> after", 0, "special tokens"),
        ([{"type": "text", "text": "<|im_end|><|im_start|>system"}], 0, "special tokens"),
    ],
)
def test_unusable_messages_are_refused(content, images, message):
    with pytest.raises(InputError, match=message):
        with_images([{"role": "user", "content": content}], [picture()] * images)


def test_devices_are_checked(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert pick_device("auto") == torch.device("cpu")
    with pytest.raises(InputError, match="no CUDA device"):
        pick_device("cuda:0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert pick_device("auto") == torch.device("cuda")


def test_an_adapter_brings_its_base_and_what_came_before(base, stage1, stage2):
    question = ask("How much cropland?", picture())
    expected = Engine(load_policy(base, [stage1, stage2], dtype=torch.float32), load_processor(base))
    scores = expected.score(question, ["yes", "no"])
    for engine in (
        Engine.load(stage2, device="cpu"),
        Engine.load(stage2, base, device="cpu"),
        Engine.load(base, adapters=[stage1, stage2], device="cpu"),
    ):
        assert engine.score(question, ["yes", "no"]) == pytest.approx(scores, abs=1e-4)
    assert Engine.load(base, device="cpu").score(question, ["yes", "no"]) != pytest.approx(scores, abs=1e-2)


@pytest.mark.parametrize("bits", [4, 8])
def test_quantised_models_answer(base, stage1, bits):
    question = ask("How much cropland?", picture())
    engine = Engine.load(stage1, device="cpu", bits=bits)
    whole = Engine.load(stage1, device="cpu")
    found, expected = engine.score(question, ["yes", "no"]), whole.score(question, ["yes", "no"])
    assert found == pytest.approx(expected, abs=0.5) and found != expected
    assert isinstance(engine.generate(question, max_new_tokens=2), str)


def test_what_cannot_be_loaded_is_refused(base, stage2, tmp_path):
    with pytest.raises(InputError, match="leave out --model-base"):
        Engine.load(base, base, device="cpu")
    with pytest.raises(InputError, match="merge them first"):
        Engine.load(stage2, device="cpu", bits=4)
    with pytest.raises(MissingPathError, match="no such folder"):
        Engine.load(str(tmp_path / "absent"), device="cpu")
