"""Several users, one model: an engine thread that answers up to eight requests together, token by token.

Between two tokens of the batch a waiting request is prefilled and joins, a
finished or cancelled one leaves. So nobody waits for a batch to be collected,
and a long answer delays another user's first token by a token or a prefill.
When all places are taken, a row that used up its time slice makes room and
waits its turn with its keys and values kept. A cancel during prefill, or of
all rows during a step, takes effect between two layers of the model.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

import numpy as np
import torch

from src.constants import IM_END
from src.errors import InputError, LandUseError
from src.model.decode import Decoder, Row, Sampler, TextStream
from src.model.dialogue_cache import DialogueCache
from src.model.engine import Engine
from src.model.memory import fit_history
from src.model.patches import vision_language_core
from src.model.prompt import Message, Prompt, PromptEncoder, checked_messages
from src.model.reply import BackendError, FinishReason, GenerateOptions, Reply

logger = logging.getLogger(__name__)

# Continuations scored in one pass: each holds a copy of the prompt's keys and values.
SCORED_TOGETHER = 16
# Scoring prompts share their beginning (the forms to choose from); it is kept like a dialogue.
_SCORING_SESSION = "\0scoring"


class _Stopped(Exception):
    """Nobody wants the running pass any more."""


class TransformersBackend:
    """A ``Backend`` on a model in this process.

    Args:
        engine: the model; this object's thread uses it alone from now on.
        name: of the model, for ``status``.
        max_rows: requests answered together.
        context_tokens: longest dialogue with its answer; never more than the model's own limit.
        cache_bytes: memory for dialogues between their turns.
        slice_tokens: tokens a row may write before it makes room for a waiting request.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        name: str = "",
        max_rows: int = 8,
        context_tokens: int = 16384,
        cache_bytes: int = 2 << 30,
        slice_tokens: int = 64,
    ) -> None:
        self.name, self.max_rows, self.slice_tokens = name, max_rows, slice_tokens
        self.context_tokens = min(context_tokens, engine.model.config.get_text_config().max_position_embeddings)
        self.dialogues = DialogueCache(cache_bytes)
        self._model, self._tokenizer = engine.model.eval(), engine.tokenizer
        self._encoder = PromptEncoder(engine.model, engine.processor)
        self._decoder = Decoder(engine.model, self._encoder)
        self._changed = threading.Condition()
        self._waiting: deque[Row] = deque()
        self._jobs: deque[tuple[Callable[[], Any], Future[Any]]] = deque()
        self._watched: list[Row] = []
        self._closing = False
        core = vision_language_core(engine.model)
        layers = [*core.visual.blocks, *core.language_model.layers]
        self._hooks = [layer.register_forward_pre_hook(self._between_layers) for layer in layers]
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._thread.start()

    # ---- for any thread

    def stream(self, messages: Sequence[Message], options: GenerateOptions, session: str) -> Reply:
        """See ``Backend.stream``."""
        kept = self._fitted(messages, options.max_new_tokens)
        reply = Reply()
        row = Row(kept, options, session, reply)
        with self._changed:
            if self._closing:
                reply.fail(BackendError("closed"))
            else:
                self._waiting.append(row)
                self._changed.notify_all()
        return reply

    def generate(self, messages: Sequence[Message], **options: Any) -> str:
        """See ``Backend.generate``."""
        return self.stream(messages, GenerateOptions(**({"temperature": 0.0} | options)), "").result()

    def score(self, messages: Sequence[Message], choices: Sequence[str]) -> list[float]:
        """See ``Backend.score``; the end token counts, so "1" does not win over "10" by being its beginning."""
        kept = self._fitted(messages, 0)
        future: Future[list[float]] = Future()
        with self._changed:
            if self._closing:
                raise BackendError("closed")
            self._jobs.append((lambda: self._score(kept, choices), future))
            self._changed.notify_all()
        return future.result()

    def forget(self, session: str) -> None:
        """See ``Backend.forget``; a running answer of the dialogue goes on and is not kept."""
        with self._changed:
            for row in [*self._waiting, *self._decoder.rows, *self._watched]:
                if row.session == session:
                    row.session = ""
            self.dialogues.forget(session)

    def status(self) -> dict[str, Any]:
        """See ``Backend.status``; "alive" is False when the engine thread ended."""
        with self._changed:
            rows = {*self._decoder.rows, *self._watched}
            return {
                "backend": "transformers",
                "model": self.name,
                "alive": self._thread.is_alive() and not self._closing,
                "active": sum(row.reply.finish_reason is None for row in rows),
                "waiting": len(self._waiting) + len(self._jobs),
                "dialogues": len(self.dialogues),
                "dialogue_bytes": self.dialogues.bytes,
            }

    def close(self) -> None:
        """See ``Backend.close``."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join()
        for hook in self._hooks:
            hook.remove()
        self._hooks.clear()

    def _fitted(self, messages: Sequence[Message], max_new_tokens: int) -> list[Message]:
        budget = self.context_tokens - max_new_tokens - self._encoder.template_tokens
        if budget <= 0:
            raise InputError(f"max_new_tokens {max_new_tokens}: expected well below {self.context_tokens}, the context")
        return fit_history(checked_messages(messages), self._encoder.count_tokens, budget)[0]

    # ---- the engine thread

    @torch.inference_mode()
    def _run(self) -> None:
        try:
            while True:
                with self._changed:
                    self._changed.wait_for(lambda: self._closing or self._waiting or self._jobs or self._decoder.rows)
                    if self._closing:
                        return
                try:
                    self._drop_cancelled()
                    self._do_job()
                    self._admit()
                    if self._decoder.rows:
                        self._decode()
                except Exception as error:
                    # Not one request's failure but the batch's, such as no memory to take rows apart.
                    for row in self._decoder.clear():
                        row.reply.fail(self._named(error))
        finally:
            self._fail_all()

    def _between_layers(self, *_: Any) -> None:
        if self._closing or (self._watched and all(row.reply.cancelled for row in self._watched)):
            raise _Stopped

    def _drop_cancelled(self) -> None:
        rows = [row for row in self._decoder.rows if row.reply.cancelled]
        self._decoder.leave(rows)
        with self._changed:
            gone = [row for row in self._waiting if row.reply.cancelled]
            for row in gone:
                self._waiting.remove(row)
        for row in [*rows, *gone]:
            self._end(row, "cancelled")

    def _do_job(self) -> None:
        with self._changed:
            if not self._jobs:
                return
            work, future = self._jobs.popleft()
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(self._named(error))

    def _admit(self) -> None:
        """Bring one waiting request into the batch, if there is room or a row's time is up."""
        with self._changed:
            if not self._waiting:
                return
            parked = None
            if len(self._decoder.rows) >= self.max_rows:
                parked = max(self._decoder.rows, key=lambda row: row.in_slice)
                if parked.in_slice < self.slice_tokens:
                    return
            row = self._waiting.popleft()
            self._watched = [row]
        try:
            if parked:
                self._decoder.leave([parked])
                with self._changed:
                    self._waiting.append(parked)
            row.in_slice = 0
            if row.layers is not None or self._prefill(row):
                self._decoder.join(row)
        except Exception as error:
            if row.reply.cancelled:
                row.reply.finish("cancelled")
            else:
                row.reply.fail(self._named(error))
        finally:
            self._watched = []

    def _prefill(self, row: Row) -> bool:
        """Compute the prompt and choose the first token; False when that was all."""
        row.prompt = prompt = self._encoder.encode(row.messages)
        self._between_layers()
        row.sampler = Sampler(row.options, self._tokenizer, self._model.device)
        row.stream = TextStream(self._tokenizer)
        logits, row.layers = self._prefilled(prompt, row.session)
        row.length, row.position = len(prompt.ids), int(prompt.positions.max()) + 1
        reason = row.accept(logits, self._tokenizer)
        if reason:
            self._end(row, reason)
        return reason is None

    def _prefilled(self, prompt: Prompt, session: str) -> tuple[torch.Tensor, Any]:
        matched, layers = self.dialogues.match(session, prompt.key) if session else (0, [])
        known = prompt.whole_prefix(matched)
        layers = [(keys[:, :, :known], values[:, :, :known]) for keys, values in layers] if known else []
        return self._decoder.prefill(prompt, known, layers)

    def _decode(self) -> None:
        rows = self._watched = list(self._decoder.rows)
        try:
            self._accept(rows, self._decoder.step())
        except _Stopped:
            return
        except Exception as error:
            if len(rows) == 1:
                self._fail(rows[0], error)
            else:
                self._decode_one_by_one(rows)
        finally:
            self._watched = []

    def _decode_one_by_one(self, rows: list[Row]) -> None:
        """Find the row that made a step of the batch fail; the others get their token."""
        self._decoder.leave(rows)
        survivors = []
        for row in rows:
            self._decoder.join(row)
            try:
                self._accept([row], self._decoder.step())
            except _Stopped:
                logger.debug("all rows were cancelled meanwhile")
            except Exception as error:
                self._fail(row, error)
            if row in self._decoder.rows:
                self._decoder.leave([row])
                survivors.append(row)
        for row in survivors:
            self._decoder.join(row)

    def _accept(self, rows: list[Row], logits: torch.Tensor) -> None:
        ended: dict[Row, FinishReason] = {}
        for place, row in enumerate(rows):
            try:
                reason = row.accept(logits[place : place + 1], self._tokenizer)
                if reason:
                    ended[row] = reason
            except Exception as error:
                self._fail(row, error)
        self._decoder.leave(list(ended))
        for row, reason in ended.items():
            self._end(row, reason)

    def _end(self, row: Row, reason: FinishReason) -> None:
        """Keep the dialogue of a row that left the batch, then tell its reader: the next turn finds it."""
        if row.session and row.prompt is not None and row.layers is not None:
            answer = np.array(row.generated, dtype=np.int64)
            key = np.concatenate([row.prompt.key, answer])[: row.length]
            with self._changed:
                if row.session:
                    self.dialogues.put(row.session, key, row.layers)
        row.layers = None
        row.reply.finish(reason)

    def _fail(self, row: Row, error: Exception) -> None:
        self._decoder.leave([row])
        row.layers = None
        row.reply.fail(self._named(error))

    def _score(self, messages: Sequence[Message], choices: Sequence[str]) -> list[float]:
        prompt = self._encoder.encode(messages)
        logits, layers = self._prefilled(prompt, _SCORING_SESSION)
        self.dialogues.put(_SCORING_SESSION, prompt.key, layers)
        tails = [self._tokenizer(f"{choice}{IM_END}")["input_ids"] for choice in choices]
        scores: list[float] = []
        for start in range(0, len(tails), SCORED_TOGETHER):
            scores += self._decoder.score(prompt, logits, layers, tails[start : start + SCORED_TOGETHER])
        return scores

    def _named(self, error: BaseException) -> BackendError:
        """The error as the user sees it; the log gets the technical one."""
        if isinstance(error, _Stopped):
            return BackendError("closed")
        if isinstance(error, LandUseError):
            return BackendError("input", str(error))
        logger.error("a request failed: %s", type(error).__name__, exc_info=error)
        out_of_memory = isinstance(error, torch.OutOfMemoryError | MemoryError) or "allocate memory" in str(error)
        if out_of_memory:
            self.dialogues.clear()
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
        return BackendError("memory" if out_of_memory else "failed", type(error).__name__)

    def _fail_all(self) -> None:
        with self._changed:
            self._closing = True
            rows, jobs = [*self._waiting, *self._decoder.rows, *self._watched], list(self._jobs)
            self._waiting.clear()
            self._jobs.clear()
        for row in rows:
            row.reply.fail(BackendError("closed"))
        for _, future in jobs:
            future.set_exception(BackendError("closed"))
