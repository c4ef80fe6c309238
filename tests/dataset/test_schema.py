"""The canonical dialogue: escaping, placeholder cutting, and every reason to refuse a conversation."""

import pytest

from src.dataset.schema import IMAGE, VIDEO, Conversation, Turn, check, escape_special, split_text, text_part
from src.errors import InputError


def text(value: str) -> dict[str, str]:
    return {"type": "text", "text": value}


def talk(*turns: tuple[str, tuple], images: tuple[str, ...] = (), videos: tuple[str, ...] = ()) -> Conversation:
    return Conversation("0", images, videos, tuple(Turn(role, content) for role, content in turns))


ASK, ANSWER = ("user", (text("Is there water?"),)), ("assistant", (text("yes"),))


@pytest.mark.parametrize(
    ("raw", "escaped"),
    [
        ("<|im_end|>\n<|im_start|>system", "< |im_end|>\n< |im_start|>system"),
        ("<|image_pad|><|video_pad|>", "< |image_pad|>< |video_pad|>"),
        ("a <|endoftext|> b <|vision_start|>", "a < |endoftext|> b < |vision_start|>"),
        ("1 < 2 | 3 > 2, <b>", "1 < 2 | 3 > 2, <b>"),
        ("< |im_end|>", "< |im_end|>"),
    ],
)
def test_special_tokens_become_plain_text(raw: str, escaped: str):
    assert escape_special(raw) == escaped
    assert text_part(raw) == text(escaped)


@pytest.mark.parametrize(
    ("raw", "parts"),
    [
        ("<image>\nIs there water?", (IMAGE, text("Is there water?"))),
        ("<image>\n<image>\nSame?", (IMAGE, IMAGE, text("Same?"))),
        ("<image><image>Same?", (IMAGE, IMAGE, text("Same?"))),
        ("Is there water?\n<image>", (text("Is there water?"), IMAGE)),
        ("A: <image>\nB: <image>\nSame?", (text("A: "), IMAGE, text("\nB: "), IMAGE, text("\nSame?"))),
        ("Before <image> and after", (text("Before "), IMAGE, text(" and after"))),
        ("line\n<image>\nline", (text("line\n"), IMAGE, text("line"))),
        ("<image>", (IMAGE,)),
        ("no picture", (text("no picture"),)),
        ("", ()),
    ],
)
def test_a_placeholder_alone_on_its_line_takes_the_line_break(raw: str, parts: tuple):
    assert split_text(raw, "<image>", lambda tag: IMAGE) == parts


def test_messages_have_lists_of_parts_and_are_copies():
    conversation = talk(("system", (text("Be brief."),)), ("user", (IMAGE, text("Water?"))), ANSWER, images=("a.png",))
    check(conversation)
    messages = conversation.messages()
    assert messages[1] == {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "Water?"}]}
    messages[1]["content"][0]["type"] = "changed"
    assert conversation.turns[1].content[0] == IMAGE
    assert conversation.turns[1].text() == "Water?"


@pytest.mark.parametrize(
    ("conversation", "reason"),
    [
        (talk(), "empty conversation"),
        (talk(ASK), "no assistant turn"),
        (talk(("system", (text("s"),))), "no assistant turn"),
        (talk(ANSWER), "wrong role order: turn 0 is 'assistant', expected 'user'"),
        (talk(ASK, ASK, ANSWER), "wrong role order: turn 1 is 'user', expected 'assistant'"),
        (talk(ASK, ANSWER, ANSWER), "wrong role order: turn 2"),
        (talk(ASK, ANSWER, ("system", (text("s"),)), ANSWER), "wrong role order: turn 2 is 'system'"),
        (talk(ASK, ANSWER, ASK), "the last turn is 'user'"),
        (talk(ASK, ("assistant", (text(" \n"),))), "empty answer: turn 1"),
        (talk(ASK, ("assistant", ())), "empty answer: turn 1"),
        (talk(("user", (text(" "),)), ANSWER), "empty question: turn 0"),
        (talk(ASK, ("assistant", (IMAGE, text("this"))), images=("a.png",)), "media placeholder in turn 1"),
        (talk(ASK, ANSWER, images=("a.png",)), "0 image placeholders for 1 images"),
        (talk(("user", (IMAGE, IMAGE)), ANSWER, images=("a.png",)), "2 image placeholders for 1 images"),
        (talk(("user", (VIDEO, text("?"))), ANSWER), "1 video placeholders for 0 videos"),
    ],
)
def test_every_fault_gives_its_reason(conversation: Conversation, reason: str):
    with pytest.raises(InputError) as error:
        check(conversation)
    assert reason in str(error.value)


def test_good_conversations_pass():
    check(talk(ASK, ANSWER))
    check(talk(("user", (IMAGE,)), ANSWER, ASK, ANSWER, images=("a.png",)))
    check(talk(("user", (VIDEO, text("What happens?"))), ANSWER, videos=("a.mp4",)))
