"""Ask one question about pictures and get the model's answer in words.

    python -m src.serve.ask "图中主要的土地类型是什么？" --image chip.tif

One-shot inference on pictures. Figures in such an answer are the model's
impression, not a measurement, and the output says so.
"""

import argparse
import json

from src.dataset.images import load_image
from src.errors import run_command
from src.model.engine import Engine
from src.model.nano import NANO_DIR

NOTICE = {
    "zh": "以上为模型对影像的印象，不是量测结果。",
    "en": "This is the model's impression of the picture, not a measurement.",
}


def parse() -> argparse.Namespace:
    """Command line of a question."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("question")
    parser.add_argument("--image", nargs="+", required=True, help="pictures, GeoTIFF of any depth included")
    parser.add_argument("--model-path", default=str(NANO_DIR), help="model or adapter; default: the bundled nano model")
    parser.add_argument("--model-base", help="base of an adapter; default: the one it names")
    parser.add_argument("--max-new-tokens", type=int, default=64)
    parser.add_argument("--temperature", type=float, default=0.0)
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    return parser.parse_args()


def main() -> None:
    """Answer and say what the answer is worth."""
    args = parse()
    pictures = [load_image(path) for path in args.image]
    content = [{"type": "image", "image": picture} for picture in pictures]
    content.append({"type": "text", "text": args.question})
    engine = Engine.load(args.model_path, model_base=args.model_base)
    answer = engine.generate(
        [{"role": "user", "content": content}], max_new_tokens=args.max_new_tokens, temperature=args.temperature
    )
    lang = "zh" if any("\u4e00" <= letter <= "\u9fff" for letter in args.question) else "en"
    if args.json:
        print(json.dumps({"question": args.question, "answer": answer, "notice": NOTICE[lang]}, ensure_ascii=False))
    else:
        print(f"{answer}\n({NOTICE[lang]})")


if __name__ == "__main__":
    run_command(main)
