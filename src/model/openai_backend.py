"""A model behind an OpenAI-compatible server: vLLM, SGLang, ``transformers serve``.

Pictures leave as data: URLs that are rendered here, never as paths or
addresses: some servers open those on their own machine. One retry, and only
before the first piece of text. What came before a cut is kept and marked.
"""

import asyncio
import base64
import io
import logging
import math
import threading
from collections.abc import Sequence
from typing import Any

import openai

from src.budget import PixelBudget
from src.constants import IM_END
from src.errors import InputError
from src.model.memory import fit_history
from src.model.prompt import TOKENS_AROUND_A_MESSAGE, Message, checked_messages
from src.model.reply import BackendError, GenerateOptions, NotScorable, Reply

logger = logging.getLogger(__name__)

CONNECT_TIMEOUT_S = 5.0
RETRY_WAIT_S = 0.5
# Pictures up to this area are sent without loss; larger ones as JPEG, which is ten times smaller.
PNG_MAX_PIXELS = 512 * 512


class OpenAIBackend:
    """A ``Backend`` that asks a server.

    Args:
        api_base: its address, ending in /v1.
        model: name under which the server offers the model.
        api_key: sent as bearer token.
        context_tokens: longest dialogue with its answer; the server's tokenizer is unknown, so lengths are estimated.
        timeout: seconds that the server may be silent.
    """

    def __init__(
        self,
        api_base: str,
        model: str,
        api_key: str = "none",
        *,
        context_tokens: int = 16384,
        timeout: float = 120.0,
    ) -> None:
        if not api_base.startswith(("http://", "https://")):
            raise InputError(f"--api-base {api_base}: expected an address such as http://127.0.0.1:8000/v1")
        self.api_base, self.model, self.context_tokens = api_base, model, context_tokens
        self._client = openai.AsyncOpenAI(
            base_url=api_base,
            api_key=api_key,
            timeout=openai.Timeout(timeout, connect=CONNECT_TIMEOUT_S),
            max_retries=0,
        )
        self._open: set[Reply] = set()
        self._lock = threading.Lock()
        self._closed = False
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="openai", daemon=True)
        self._thread.start()

    def stream(self, messages: Sequence[Message], options: GenerateOptions, session: str) -> Reply:
        """See ``Backend.stream``; the server keeps nothing for ``session``."""
        budget = self.context_tokens - options.max_new_tokens
        if budget <= 0:
            raise InputError(
                f"max_new_tokens {options.max_new_tokens}: must be below {self.context_tokens}, the context"
            )
        kept, _ = fit_history(checked_messages(messages), estimate_tokens, budget)
        reply = Reply()
        with self._lock:
            if self._closed:
                reply.fail(BackendError("closed"))
                return reply
            self._open.add(reply)
        future = asyncio.run_coroutine_threadsafe(self._answer(kept, options, reply), self._loop)
        # A cancel may come before the coroutine ran its first line; then nothing in it can end the reply.
        future.add_done_callback(lambda _: self._ended(reply))
        reply.on_cancel(future.cancel)
        return reply

    def generate(self, messages: Sequence[Message], **options: Any) -> str:
        """See ``Backend.generate``."""
        return self.stream(messages, GenerateOptions(**({"temperature": 0.0} | options)), "").result()

    def score(self, messages: Sequence[Message], choices: Sequence[str]) -> list[float]:
        """See ``Backend.score``; needs a server that returns ``prompt_logprobs`` (vLLM)."""
        content = [_wire(message) for message in checked_messages(messages)]
        future = asyncio.run_coroutine_threadsafe(self._score(content, choices), self._loop)
        return future.result()

    def forget(self, session: str) -> None:
        """See ``Backend.forget``: there is nothing to drop."""

    def status(self) -> dict[str, Any]:
        """See ``Backend.status``; how many requests wait inside the server is not known."""
        with self._lock:
            active, alive = sum(reply.finish_reason is None for reply in self._open), not self._closed
        return {
            "backend": "openai",
            "model": self.model,
            "api_base": self.api_base,
            "alive": alive,
            "active": active,
            "waiting": 0,
        }

    def close(self) -> None:
        """See ``Backend.close``."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            replies = list(self._open)
        for reply in replies:
            reply.fail(BackendError("closed"))
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    # ---- on the event loop

    async def _stop(self) -> None:
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._client.close()

    def _ended(self, reply: Reply) -> None:
        with self._lock:
            self._open.discard(reply)
        reply.finish("cancelled")

    async def _answer(self, messages: Sequence[Message], options: GenerateOptions, reply: Reply) -> None:
        request = self._request(messages, options)
        for last in (False, True):
            try:
                await self._stream_once(request, reply)
                return
            except Exception as error:
                named = _named(error)
                logger.warning("%s: %s %s", self.api_base, named.code, named.detail)
                if reply.text:
                    reply.fail(BackendError("cut", named.detail))
                elif last or not _worth_a_retry(error):
                    reply.fail(named)
                else:
                    await asyncio.sleep(RETRY_WAIT_S)
                    continue
                return

    def _request(self, messages: Sequence[Message], options: GenerateOptions) -> dict[str, Any]:
        request: dict[str, Any] = {
            "model": self.model,
            "messages": [_wire(message) for message in messages],
            "max_tokens": options.max_new_tokens,
            "temperature": options.temperature,
            "top_p": options.top_p,
        }
        if options.seed is not None:
            request["seed"] = options.seed
        # Not in OpenAI's interface; vLLM and SGLang take them, others refuse, so neutral values are not sent.
        extra: dict[str, Any] = {}
        if options.top_k:
            extra["top_k"] = options.top_k
        if options.repetition_penalty != 1:
            extra["repetition_penalty"] = options.repetition_penalty
        return request | ({"extra_body": extra} if extra else {})

    async def _stream_once(self, request: dict[str, Any], reply: Reply) -> None:
        reason = None
        async with await self._client.chat.completions.create(**request, stream=True) as stream:
            async for chunk in stream:
                if not chunk.choices:
                    continue
                if chunk.choices[0].delta.content:
                    reply.push(chunk.choices[0].delta.content)
                reason = chunk.choices[0].finish_reason or reason
        if reason is None:
            # Every server ends a whole answer with a reason.
            raise _Unreadable("the stream ended early" if reply.text else "no stream of chat completions")
        reply.finish("length" if reason == "length" else "stop")

    async def _score(self, messages: list[dict[str, Any]], choices: Sequence[str]) -> list[float]:
        first = await self._score_one(messages, choices[0])
        return [first, *await asyncio.gather(*(self._score_one(messages, choice) for choice in choices[1:]))]

    async def _score_one(self, messages: list[dict[str, Any]], choice: str) -> float:
        # vLLM's extension: the log-probability of every token of the prompt, whose last message is the choice.
        extra = {"prompt_logprobs": 0, "add_generation_prompt": False, "continue_final_message": True}
        whole: Any = [*messages, {"role": "assistant", "content": f"{choice}{IM_END}"}]
        try:
            response = await self._client.chat.completions.create(
                model=self.model, messages=whole, max_tokens=1, temperature=0, extra_body=extra
            )
        except (openai.BadRequestError, openai.UnprocessableEntityError, openai.NotFoundError) as error:
            raise NotScorable(f"{self.api_base} gives no log-probabilities of a text ({error.status_code})") from error
        except Exception as error:
            raise _named(error) from error
        rows = (getattr(response, "model_extra", None) or {}).get("prompt_logprobs")
        if not rows:
            raise NotScorable(f"{self.api_base} gives no log-probabilities of a text")
        return tail_score(rows, choice)


class _Unreadable(Exception):
    """An answer that is no stream of chat completions."""


def tail_score(rows: Sequence[dict[str, Any] | None], choice: str) -> float:
    """Sum of the log-probabilities of the last tokens that spell a choice, with the end token behind it.

    Args:
        rows: vLLM's ``prompt_logprobs``: for each token of the prompt {id: {"logprob", "decoded_token"}}.
        choice: the text.

    Raises:
        NotScorable: the last tokens do not spell it.
    """
    total, text = 0.0, ""
    for row in reversed(rows):
        if not row:
            break
        token = next(iter(row.values()))
        total += float(token["logprob"])
        piece = token.get("decoded_token") or ""
        text = (piece if piece != IM_END else "") + text
        if text == choice:
            return total
        if not choice.endswith(text):
            break
    raise NotScorable("the server's log-probabilities do not spell the choice")


def estimate_tokens(message: Message) -> int:
    """Tokens of a checked message without a tokenizer: one for a Chinese character, one for three other letters."""
    budget, count = PixelBudget(), float(TOKENS_AROUND_A_MESSAGE)
    for part in message["content"]:
        if part["type"] == "text":
            wide = sum(ord(letter) > 0x2E7F for letter in part["text"])
            count += wide + (len(part["text"]) - wide) / 3
        else:
            pictures = [part["image"]] if part["type"] == "image" else part["frames"]
            count += sum(budget.visual_tokens(*picture.size) + 2 for picture in pictures)
    return math.ceil(count)


def _wire(message: Message) -> dict[str, Any]:
    """A checked message in OpenAI's form; a video becomes its frames, which every server takes."""
    parts: list[dict[str, Any]] = []
    for part in message["content"]:
        if part["type"] == "text":
            parts.append({"type": "text", "text": part["text"]})
        elif part["type"] == "image":
            parts.append(_picture(part["image"]))
        else:
            parts.append(
                {"type": "text", "text": f"Video, {len(part['frames'])} frames at {part['fps']:g} per second:"}
            )
            parts += [_picture(frame) for frame in part["frames"]]
    if all(part["type"] == "text" for part in parts):
        return {"role": message["role"], "content": "".join(part["text"] for part in parts)}
    return {"role": message["role"], "content": parts}


def _picture(image: Any) -> dict[str, Any]:
    picture = image.convert("RGB")
    excess = picture.width * picture.height / PixelBudget().image_max_pixels
    if excess > 1:
        picture.thumbnail((picture.width / math.sqrt(excess), picture.height / math.sqrt(excess)))
    kind = "png" if picture.width * picture.height <= PNG_MAX_PIXELS else "jpeg"
    buffer = io.BytesIO()
    picture.save(buffer, kind, quality=95)
    data = base64.b64encode(buffer.getvalue()).decode()
    return {"type": "image_url", "image_url": {"url": f"data:image/{kind};base64,{data}"}}


def _worth_a_retry(error: Exception) -> bool:
    if isinstance(error, openai.APITimeoutError):
        return False  # the user has waited long enough
    return isinstance(error, openai.APIConnectionError | openai.RateLimitError | openai.InternalServerError)


def _named(error: Exception) -> BackendError:
    """The error as the user sees it."""
    detail = type(error).__name__
    if isinstance(error, openai.APITimeoutError):
        return BackendError("timeout", detail)
    if isinstance(error, openai.RateLimitError):
        return BackendError("busy", detail)
    if isinstance(error, openai.APIConnectionError):
        return BackendError("down", detail)
    if isinstance(error, openai.APIStatusError):
        code = "failed" if error.status_code >= 500 else "refused"
        return BackendError(code, f"{detail} {error.status_code}: {str(error.message)[:200]}")
    if isinstance(error, _Unreadable | ValueError):
        return BackendError("garbage", f"{detail}: {error}"[:200])
    return BackendError("failed", f"{detail}: {error}"[:200])
