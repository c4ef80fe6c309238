"""Asking a model dialogues, with its own earlier answers in the history.

``Together`` has the model in this process. It answers a group of dialogues at
once: each turn computes only what is new to its dialogue, all of them share
the steps of decoding, and a dialogue goes on to its next question at once.
Nothing depends on time or threads and nothing is carried from one group to
the next, so a group's answers are the same in every run: greedy answers of
batches of other rows may differ where two tokens are nearly equally probable.

``Remote`` asks a server; what such a server batches together is its own affair.
"""

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import torch

from evaluation.model_generation.sets import Dialogue
from src.errors import InputError, LandUseError
from src.model.decode import Decoder, Row, Sampler, TextStream
from src.model.dialogue_cache import KeyValues, common_prefix
from src.model.engine import Engine
from src.model.memory import fit_history
from src.model.openai_backend import OpenAIBackend, estimate_tokens
from src.model.prompt import Message, Prompt, PromptEncoder, checked_messages
from src.model.reply import GenerateOptions, Reply

logger = logging.getLogger(__name__)

# A server is given more dialogues at a time than it answers at once, so that it never runs dry.
DIALOGUES_PER_WORKER = 8


@dataclass(frozen=True)
class Answer:
    """What became of one question.

    Args:
        status: "ok" or "failed".
        prediction: the answer; "" where it failed.
        reason: why it failed, else "".
        tokens: written; estimated from the text where a server does not say.
        finish: "stop", "length" where the answer was cut at its limit, "failed".
    """

    status: Literal["ok", "failed"]
    prediction: str = ""
    reason: str = ""
    tokens: int = 0
    finish: str = "failed"


class Answerer(Protocol):
    """Something that answers dialogues."""

    group_size: int

    def answer(self, dialogues: Sequence[Dialogue]) -> Iterator[tuple[Dialogue, list[Answer]]]:
        """Answer a group: every dialogue once, in any order, with one answer for each question."""

    def close(self) -> None:
        """Give back what it holds."""


class Talk:
    """A dialogue on its way."""

    def __init__(self, dialogue: Dialogue) -> None:
        self.dialogue = dialogue
        self.answers: list[Answer] = []
        self.kept: tuple[np.ndarray, KeyValues] | None = None
        self._messages: list[Message] = []
        self._pictures: list[Any] | None = None

    @property
    def done(self) -> bool:
        """Whether every question has its answer."""
        return len(self.answers) == len(self.dialogue.questions)

    def ask(self) -> list[Message]:
        """The messages up to the next question, with pictures.

        Raises:
            LandUseError: the row or a picture of it cannot be used.
        """
        if self.dialogue.problem:
            raise InputError(self.dialogue.problem)
        if self._pictures is None:
            self._pictures = self.dialogue.pictures()
            if self.dialogue.system:
                self._messages.append({"role": "system", "content": self.dialogue.system})
        parts: list[Message] = []
        for part in self.dialogue.questions[len(self.answers)].content:
            parts.append(part | {"image": self._pictures.pop(0)} if part["type"] == "image" else dict(part))
        self._messages.append({"role": "user", "content": parts})
        return checked_messages(self._messages)

    def add(self, text: str, tokens: int, finish: str) -> None:
        """Take an answer into the history."""
        self.answers.append(Answer("ok", text, tokens=tokens, finish=finish))
        self._messages.append({"role": "assistant", "content": text})

    def fail(self, reason: str) -> None:
        """Record a failure; later questions cannot be asked without this answer."""
        turn = len(self.answers)
        self.answers.append(Answer("failed", reason=reason))
        while not self.done:
            self.answers.append(Answer("failed", reason=f"not asked: turn {turn} of this dialogue failed"))


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, LandUseError) else f"{type(error).__name__}: {error}"[:300]


class Together:
    """Answers by a model in this process, the same in every run.

    Args:
        engine: the model.
        options: how to choose tokens; temperature 0.
        group_size: dialogues answered together.
        context_tokens: longest dialogue with its answer; never more than the model's own limit.
    """

    def __init__(
        self, engine: Engine, options: GenerateOptions, *, group_size: int = 8, context_tokens: int = 32768
    ) -> None:
        self.group_size, self.options = group_size, options
        self.context_tokens = min(context_tokens, engine.model.config.get_text_config().max_position_embeddings)
        self.engine, self._tokenizer = engine, engine.tokenizer
        engine.model.eval()
        self._encoder = PromptEncoder(engine.model, engine.processor)
        self.decoder = Decoder(engine.model, self._encoder)
        self._shared: dict[tuple[str, ...], tuple[np.ndarray, KeyValues] | None] = {}

    def answer(self, dialogues: Sequence[Dialogue]) -> Iterator[tuple[Dialogue, list[Answer]]]:
        """See ``Answerer.answer``; where a group has no memory, its open dialogues are asked one by one."""
        talks = [Talk(dialogue) for dialogue in dialogues]
        told: set[str] = set()
        error = None
        try:
            for talk in self._run(talks):
                told.add(talk.dialogue.id)
                yield talk.dialogue, talk.answers
        except Exception as caught:  # not one question's failure, such as no memory for the batch
            logger.error("a group of %d dialogues failed", len(dialogues), exc_info=caught)
            error = _reason(caught)
        if error is None:
            return
        for talk in talks:
            talk.kept = None
        self._free()
        if len(talks) == 1:
            talks[0].fail(error)
            yield talks[0].dialogue, talks[0].answers
            return
        for dialogue in dialogues:
            if dialogue.id not in told:
                yield from self.answer([dialogue])

    def close(self) -> None:
        """See ``Answerer.close``."""
        self._free()

    def _free(self) -> None:
        self.decoder.clear()
        self._shared.clear()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _run(self, talks: Sequence[Talk]) -> Iterator[Talk]:
        shown = Counter(talk.dialogue.paths for talk in talks if talk.dialogue.paths)
        self._shared = {paths: None for paths, count in shown.items() if count > 1}
        asked: dict[Row, Talk] = {}
        for talk in talks:
            self._next(talk, asked)
            if talk.done:
                yield talk
        while self.decoder.rows:
            for row, reason in self._step():
                talk = asked.pop(row)
                self._close_turn(talk, row, reason)
                self._next(talk, asked)
                if talk.done:
                    yield talk
        self._shared.clear()

    @torch.inference_mode()
    def _next(self, talk: Talk, asked: dict[Row, Talk]) -> None:
        """Bring the dialogue's next question into the batch; questions that end with their first token are done."""
        while not talk.done:
            try:
                row = Row(talk.ask(), self.options, talk.dialogue.id, Reply())
                row.prompt = prompt = self._encoder.encode(row.messages)
                self._check_length(prompt)
            except LandUseError as error:
                talk.fail(str(error))
                return
            row.sampler = Sampler(self.options, self._tokenizer, self.engine.model.device)
            row.stream = TextStream(self._tokenizer)
            logits, row.layers = self._prefill(talk, prompt)
            row.length, row.position = len(prompt.ids), int(prompt.positions.max()) + 1
            reason = row.accept(logits, self._tokenizer)
            if reason is None:
                self.decoder.join(row)
                asked[row] = talk
                return
            self._close_turn(talk, row, reason)

    def _check_length(self, prompt: Prompt) -> None:
        wanted = len(prompt.ids) + self.options.max_new_tokens
        if wanted > self.context_tokens:
            raise InputError(
                f"the dialogue takes {len(prompt.ids)} tokens and its answer up to {self.options.max_new_tokens}, "
                f"more than the context of {self.context_tokens}: lower --image_max_pixels or raise --context_tokens"
            )

    def _prefill(self, talk: Talk, prompt: Prompt) -> tuple[torch.Tensor, KeyValues]:
        paths = talk.dialogue.paths
        kept = talk.kept if talk.answers else self._shared.get(paths)
        known, layers = 0, []
        if kept is not None:
            # The last token is always computed: its logits choose the first token of the answer.
            known = prompt.whole_prefix(min(common_prefix(kept[0], prompt.key), len(prompt.key) - 1))
            layers = [(keys[:, :, :known], values[:, :, :known]) for keys, values in kept[1]] if known else []
        logits, own = self.decoder.prefill(prompt, known, layers)
        if not talk.answers and paths in self._shared and kept is None:
            self._shared[paths] = (prompt.key, own)
        return logits, own

    @torch.inference_mode()
    def _step(self) -> list[tuple[Row, str]]:
        """One token for every row; the rows that ended with it have left the batch."""
        rows = list(self.decoder.rows)
        logits = self.decoder.step()
        ended: list[tuple[Row, str]] = []
        for place, row in enumerate(rows):
            reason = row.accept(logits[place : place + 1], self._tokenizer)
            if reason:
                ended.append((row, reason))
        self.decoder.leave([row for row, _ in ended])
        return ended

    def _close_turn(self, talk: Talk, row: Row, reason: str) -> None:
        assert row.prompt is not None and row.layers is not None
        key = np.concatenate([row.prompt.key, np.array(row.generated, dtype=np.int64)])[: row.length]
        talk.kept, row.layers = (key, row.layers), None
        talk.add(row.reply.text, len(row.generated), reason)


class Remote:
    """Answers by a server.

    Args:
        backend: the server.
        options: how to choose tokens; temperature 0.
        workers: dialogues asked at once.
    """

    def __init__(self, backend: OpenAIBackend, options: GenerateOptions, *, workers: int = 8) -> None:
        self.backend, self.options, self._workers = backend, options, workers
        self.group_size = workers * DIALOGUES_PER_WORKER

    def answer(self, dialogues: Sequence[Dialogue]) -> Iterator[tuple[Dialogue, list[Answer]]]:
        """See ``Answerer.answer``."""
        with ThreadPoolExecutor(self._workers) as pool:
            running = [pool.submit(self._whole, Talk(dialogue)) for dialogue in dialogues]
            for future in as_completed(running):
                talk = future.result()
                yield talk.dialogue, talk.answers

    def close(self) -> None:
        """See ``Answerer.close``."""
        self.backend.close()

    def _whole(self, talk: Talk) -> Talk:
        while not talk.done:
            try:
                messages = talk.ask()
                self._check_length(messages)
                reply = self.backend.stream(messages, self.options, "")
                text = reply.result()
            except LandUseError as error:
                talk.fail(str(error))
            else:
                tokens = estimate_tokens({"role": "assistant", "content": [{"type": "text", "text": text}]})
                talk.add(text, tokens, str(reply.finish_reason))
        return talk

    def _check_length(self, messages: Sequence[Message]) -> None:
        """The backend would leave out the oldest turns, and with them the pictures."""
        dropped = fit_history(messages, estimate_tokens, self.backend.context_tokens - self.options.max_new_tokens)[1]
        if dropped:
            raise InputError(
                f"the dialogue does not fit into {self.backend.context_tokens} tokens without its first {dropped} "
                "turns: raise --context_tokens, up to what the server allows"
            )
