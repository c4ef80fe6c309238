"""Ask one question and get an answer that can be checked, or the model's words about pictures.

    python -m src.serve.ask "2024年新增耕地面积是多少？"                        # measured, on the demo county
    python -m src.serve.ask "新增建设用地有多少？" --workspace county --json      # with its query and evidence
    python -m src.serve.ask "图中主要的土地类型是什么？" --image chip.tif

Without pictures every figure is measured, and no model is loaded unless
--model-path names one (it then reads questions that the rules cannot). With
pictures the answer is the model's impression, and the output says so.
"""

import argparse
import json
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from src.errors import InputError, run_command
from src.serve.context import NANO_DIR

if TYPE_CHECKING:
    from src.assistant.answer import Answer
    from src.geo.workspace import Workspace
    from src.model.engine import Engine

NOTICE = {
    "zh": "以上为模型对影像的印象，不是量测结果。",
    "en": "This is the model's impression of the picture, not a measurement.",
}
_ID = {"zh": "证据编号", "en": "Evidence id"}


class LazyModel:
    """A model that is loaded when something is first asked of it.

    Args:
        path: model or adapter.
        base: base of an adapter; None for the one it names.
    """

    def __init__(self, path: str, base: str | None) -> None:
        self._path, self._base = path, base
        self._engine: Engine | None = None

    def engine(self) -> "Engine":
        """The loaded model."""
        if self._engine is None:
            from src.model.engine import Engine

            self._engine = Engine.load(self._path, model_base=self._base)
        return self._engine

    def generate(self, messages: Sequence[dict[str, Any]], **options: Any) -> str:
        """The answer to a conversation."""
        return self.engine().generate(messages, **options)

    def score(self, messages: Sequence[dict[str, Any]], choices: Sequence[str]) -> list[float]:
        """Log-probability of each choice as the whole answer."""
        return self.engine().score(messages, choices)


def parse() -> argparse.Namespace:
    """Command line of a question."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("question")
    parser.add_argument("--workspace", type=Path, help="county to measure on (default: the simulated demo county)")
    parser.add_argument("--as_of", help="day that counts as today, ISO (default: the workspace's, else the real today)")
    parser.add_argument("--image", nargs="+", help="pictures to look at instead, GeoTIFF of any depth included")
    parser.add_argument("--model-path", help="model or adapter; with --image the bundled nano model by default")
    parser.add_argument("--model-base", help="base of an adapter; default: the one it names")
    parser.add_argument("--max-new-tokens", type=int, default=64, help="of an answer about pictures")
    parser.add_argument("--temperature", type=float, default=0.0, help="of an answer about pictures")
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    return parser.parse_args()


def look(args: argparse.Namespace) -> None:
    """Answer about pictures and say what the answer is worth."""
    from src.dataset.images import load_image

    if args.workspace or args.as_of:
        raise InputError("--image asks the model about pictures; leave out --workspace and --as_of, or --image")
    content: list[dict[str, Any]] = [{"type": "image", "image": load_image(path)} for path in args.image]
    content.append({"type": "text", "text": args.question})
    model = LazyModel(args.model_path or str(NANO_DIR), args.model_base)
    answer = model.generate(
        [{"role": "user", "content": content}], max_new_tokens=args.max_new_tokens, temperature=args.temperature
    )
    lang = "zh" if any("\u4e00" <= letter <= "\u9fff" for letter in args.question) else "en"
    if args.json:
        print(json.dumps({"question": args.question, "answer": answer, "notice": NOTICE[lang]}, ensure_ascii=False))
    else:
        print(f"{answer}\n({NOTICE[lang]})")


def measure(args: argparse.Namespace) -> "Answer":
    """Answer from measured evidence.

    Raises:
        InputError: a day that is none, or a workspace that cannot be used.
    """
    from src.assistant.county import STEPS, County
    from src.assistant.demo import STEP, STEP_TEXT
    from src.assistant.pipeline import Assistant, Dialogue
    from src.geo.blocks import ThreadRunner

    steps = STEPS | {STEP: STEP_TEXT}
    with tqdm(total=1.0, bar_format="{desc} {percentage:3.0f}% {elapsed}", disable=None, leave=False) as bar:

        def tell(step: str, share: float) -> None:
            bar.set_description_str(steps[step]["en"] if step in steps else step)
            bar.update(share - bar.n)

        workspace = _workspace(args.workspace, tell)
        county = County(workspace, ThreadRunner(), _today(args.as_of, workspace.as_of))
        model = LazyModel(args.model_path, args.model_base) if args.model_path else None
        return Assistant(county, model).ask(args.question, Dialogue(), tell)


def _workspace(folder: Path | None, tell: Any) -> "Workspace":
    from src.assistant.demo import demo_workspace
    from src.geo.workspace import open_workspace

    return demo_workspace(progress=tell) if folder is None else open_workspace(folder)


def _today(given: str | None, own: str | None) -> date:
    text = given or own
    try:
        return date.fromisoformat(text) if text else date.today()
    except ValueError as error:
        raise InputError(f"--as_of {text}: expected an ISO date such as 2024-12-31") from error


def main() -> None:
    """Answer one question."""
    args = parse()
    if not args.question.strip():
        raise InputError("the question is empty; ask for example: 2024年新增耕地面积是多少？")
    if args.image:
        look(args)
        return
    from src.geo.untrusted import harden_process

    harden_process()
    answer = measure(args)
    evidence = answer.evidence
    assert evidence is not None
    if args.json:
        result = {
            "question": args.question,
            "answer": answer.text,
            "query": evidence.query.to_json(),
            "evidence": evidence.model_dump(mode="json") | {"id": evidence.id},
            "source": answer.source,
            "seconds": round(answer.seconds, 3),
        }
        print(json.dumps(result, ensure_ascii=False))
    else:
        print(f"{answer.text}\n\n{_ID[answer.lang]} {evidence.id}")


if __name__ == "__main__":
    run_command(main)
