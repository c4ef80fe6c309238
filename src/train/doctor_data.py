"""The doctor's verdicts on the data: rows, lengths, what is dropped, and what the loss is taken on."""

import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from src.constants import IGNORE_INDEX, IM_END, IM_START, IMAGE_PAD, VIDEO_PAD
from src.dataset.images import is_remote
from src.dataset.schema import Conversation
from src.dataset.sft_dataset import MediaOptions, SftDataset
from src.errors import InputError
from src.train.doctor_report import Check, some, verdict

# Share of rows left out for their length, and share cut or dropped, beyond which a run is not the run that was meant.
MAX_LEFT_OUT = 0.1
MAX_DROPPED = 0.5


@dataclass(frozen=True)
class Survey:
    """One pass over all rows.

    Args:
        images: (rows,) pictures per row.
        turns: (rows,) turns per row.
        tokens: (rows,) estimated length: visual tokens from image headers, text as its UTF-8 bytes / 3.
        unreadable: rows whose picture cannot be opened, with the reason.
    """

    images: np.ndarray
    turns: np.ndarray
    tokens: np.ndarray
    unreadable: list[str]


def survey(conversations: Sequence[Conversation], media: MediaOptions) -> Survey:
    """Count pictures, turns and tokens of every row, from headers only."""
    counts, unreadable = [], []
    for index in range(len(conversations)):
        row = conversations[index]
        text = sum(len(turn.text().encode()) for turn in row.turns) // 3
        visual = 0
        for path in row.images:
            try:
                visual += media.budget.image_max_pixels // 784 if is_remote(path) else media.image_tokens(path)
            except InputError as error:
                unreadable.append(f"row {index}: {error}")
        counts.append((len(row.images), len(row.turns), text + visual))
    images, turns, tokens = np.array(counts, dtype=np.int64).reshape(-1, 3).T
    return Survey(images, turns, tokens, unreadable)


def choose_rows(tokens: np.ndarray, images: np.ndarray, count: int, longest: int) -> list[int]:
    """Rows to look at: the longest ones first, then rows with pictures and any rows, evenly spread.

    Args:
        tokens: (rows,) estimated lengths.
        images: (rows,) pictures per row.
        count: how many rows in all.
        longest: how many of them are the longest.
    """
    chosen = list(np.argsort(-tokens, kind="stable")[:longest])
    pictured = np.flatnonzero(images)
    for pool, share in ((pictured, (count + 1) // 2), (np.arange(len(tokens)), count)):
        if len(pool):
            chosen += list(pool[np.linspace(0, len(pool) - 1, share).astype(int)])
    return [int(row) for row in dict.fromkeys(chosen)][: max(count, longest)]


def check_data(store: Any, found: Survey, processor: Any, rows: Sequence[int], skip_bad_rows: bool) -> Check:
    """Bad rows, unreadable pictures and forged structure.

    Args:
        store: the conversations, opened with bad rows left out and listed.
        found: survey of the store.
        processor: for its chat template.
        rows: rows whose rendered text is looked at.
        skip_bad_rows: whether the run leaves bad rows out, too.
    """
    failures, warnings = [], []
    total = len(store) + len(store.rejects)
    if store.rejects:
        reasons = some([f"row {reject['index']}: {reject['reason']}" for reject in store.rejects])
        text = f"{len(store.rejects)} of {total} rows are bad ({reasons})"
        if skip_bad_rows:
            warnings.append(f"{text}; they are left out")
        else:
            failures.append(f"{text}; the run would stop: mend them or give --skip_bad_rows True")
    if found.unreadable:
        failures.append(f"{len(found.unreadable)} pictures cannot be read ({some(found.unreadable)})")
    failures += [text for row in rows if (text := _forged(store[row], row, processor))]
    if store.duplicate_ids:
        warnings.append(f"{store.duplicate_ids} rows share their id with another row")
    text_only = float((found.images == 0).mean())
    summary = (
        f"{total} rows ({store.format}), {text_only:.0%} text-only, {found.images.mean():.2g} pictures and "
        f"{found.turns.min()}-{found.turns.max()} turns a row, about {int(np.median(found.tokens))} tokens "
        f"(longest {found.tokens.max()})"
    )
    figures = {"rows": total, "rejects": len(store.rejects), "text_only_share": text_only, "format": store.format}
    return verdict("data", summary, failures, warnings, **figures)


def _forged(row: Conversation, index: int, processor: Any) -> str:
    """What is wrong with the structure that the model will read, or nothing."""
    text = processor.apply_chat_template(row.messages(), tokenize=False)
    default_system = row.turns[0].role != "system" and text.startswith(f"{IM_START}system")
    expected = {
        IM_START: len(row.turns) + default_system,
        IMAGE_PAD: len(row.images),
        VIDEO_PAD: len(row.videos),
    }
    for token, count in expected.items():
        if text.count(token) != count:
            return (
                f"row {index} renders with {text.count(token)} {token} for {count}: a special token in its text is "
                "not escaped, or the chat template drops a turn"
            )
    return ""


def check_lengths(rows: int, trimmed: int, refused: int, flag: str, warnings: Sequence[str] = ()) -> Check:
    """Rows that lose turns or are left out because they are too long.

    Args:
        rows: usable rows.
        trimmed: rows that lose trailing turns.
        refused: rows left out.
        flag: the flag that sets the limit, with its value.
        warnings: what else is odd about lengths.
    """
    failures, odd = [], list(warnings)
    lost = refused / rows
    if refused == rows:
        failures.append(f"no row fits {flag}: raise it, or lower --image_max_pixels")
    elif lost > MAX_LEFT_OUT:
        failures.append(f"{flag} leaves out {refused} of {rows} rows: raise it, or lower --image_max_pixels")
    elif refused:
        odd.append(f"{flag} leaves out {refused} of {rows} rows")
    if trimmed > MAX_DROPPED * rows:
        failures.append(f"{flag} cuts turns of {trimmed} of {rows} rows: raise it, or lower --image_max_pixels")
    elif trimmed:
        odd.append(f"{flag} cuts turns of {trimmed} of {rows} rows")
    summary = f"{rows - trimmed - refused} of {rows} rows fit whole into {flag}"
    return verdict("lengths", summary, failures, odd, rows=rows, trimmed=trimmed, refused=refused)


def check_dropped(total: int, rejected: int, left_out: int) -> Check:
    """How many rows of the files are not trained on."""
    dropped = rejected + left_out
    share = dropped / total
    summary = f"{total - dropped} of {total} rows are trained on: {rejected} rejected, {left_out} too long"
    figures = {"total": total, "rejected": rejected, "left_out": left_out}
    reason = [f"{share:.0%} of the rows are dropped"] if dropped else []
    if share > MAX_DROPPED:
        return verdict("dropped", summary, reason, (), **figures)
    return verdict("dropped", summary, (), reason, **figures)


def check_labels(dataset: SftDataset, rows: Sequence[int]) -> Check:
    """Decode what the loss is taken on: every assistant turn and nothing else."""
    tokenizer = dataset.processor.tokenizer
    failures, shares, shown = [], [], ""
    for row in rows:
        labels = dataset[row]["labels"]
        spans = _spans(labels, tokenizer)
        turns = dataset.conversation(row).turns
        expected = [_plain(turn.text() + IM_END) for turn in turns if turn.role == "assistant"]
        shares.append(float((labels != IGNORE_INDEX).float().mean()))
        shown = shown or " | ".join(spans)
        if spans == expected:
            continue
        trained = "".join(spans)
        users = [turn.text() for turn in turns if turn.role == "user" and turn.text().strip()]
        asked = [text for text in users if _plain(text) in trained]
        if not spans:
            failures.append(f"row {row} has no label: nothing would be learned from it")
        elif asked:
            failures.append(f"row {row} is trained on its user's words {asked[0]!r}")
        else:
            failures.append(f"row {row} is trained on {trained!r}, expected {''.join(expected)!r}")
    summary = f"{np.mean(shares):.1%} of the tokens are trained on (least {min(shares):.1%}); e.g. {shown!r}"
    return verdict("labels", summary, failures, share=float(np.mean(shares)), least=min(shares), rows=list(rows))


def _plain(text: str) -> str:
    # Qwen's tokenizer normalises to NFC.
    return unicodedata.normalize("NFC", text).strip()


def _spans(labels: torch.Tensor, tokenizer: Any) -> list[str]:
    """Texts of the unbroken runs of labels; a run ends after each end-of-turn token, too."""
    end = tokenizer.convert_tokens_to_ids(IM_END)
    spans: list[list[int]] = [[]]
    for token in labels.tolist():
        if token != IGNORE_INDEX:
            spans[-1].append(token)
        if token in (IGNORE_INDEX, end) and spans[-1]:
            spans.append([])
    return [_plain(tokenizer.decode(span)) for span in spans if span]


def check_references(rows: Sequence[dict[str, Any]]) -> Check:
    """Stage 2's counterpart of labels: a question at the end of the prompt, a reference, and a known type."""
    failures = []
    for position, row in enumerate(rows):
        roles = [message["role"] for message in row["prompt"]]
        if roles[-1] != "user":
            failures.append(f"row {position}: the prompt ends with {roles[-1]!r}, expected the user's question")
        if not row["answer"] or not row["question"]:
            failures.append(f"row {position}: question {row['question']!r}, answer {row['answer']!r}: both are needed")
    types = Counter(str(row["question_type"]) for row in rows)
    untyped = [f"{types['None']} of {len(rows)} sampled rows have no question_type: it is guessed from the wording"]
    example = f"{rows[0]['question']!r} -> {rows[0]['answer']!r}"
    return verdict(
        "labels", f"types {dict(types)}; e.g. {example}", failures, untyped if types["None"] else (), types=dict(types)
    )
