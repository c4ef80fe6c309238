"""Imports point downward only, as the layout promises."""

import ast
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[1]
BASE = {"constants", "errors"}
# What each package may import from src, besides itself.
ALLOWED = {
    "constants": set(),
    "errors": set(),
    "budget": BASE,
    "params": BASE | {"budget"},
    "answers": BASE,
    "geo": BASE,
    "assistant": BASE | {"answers", "geo"},
    "model": BASE | {"budget", "params"},
    "dataset": BASE | {"budget", "params"},
    "trainer": BASE | {"budget", "params", "model", "dataset"},
    "train": BASE | {"budget", "params", "answers", "model", "dataset", "trainer"},
    "serve": BASE | {"budget", "params", "answers", "geo", "assistant", "model", "dataset.schema", "dataset.images"},
}
# Files of dataset that turn imagery and labels into rows.
EXTRA = {"dataset/images.py": {"geo"}, "dataset/landuse_*.py": {"geo", "answers"}}
HEAVY = {"torch", "transformers", "trl", "peft", "deepspeed"}


def _imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return names


FILES = sorted((REPO / "src").rglob("*.py"))


def test_all_files_are_seen():
    assert len(FILES) > 60


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(REPO / "src")))
def test_imports_point_downward(path):
    inside = path.relative_to(REPO / "src")
    package = inside.parts[0].removesuffix(".py")
    if package == "__init__":
        return
    allowed = set(ALLOWED[package]) | {package}
    for pattern, extra in EXTRA.items():
        if inside.match(pattern):
            allowed |= extra
    for name in _imports(path):
        if name == "src" or not name.startswith("src."):
            continue
        target = name.removeprefix("src.")
        assert any(target == ok or target.startswith(f"{ok}.") for ok in allowed), f"{inside} imports {name}"


@pytest.mark.parametrize("package", ["answers", "geo"])
def test_measuring_code_never_imports_a_model_library(package):
    for path in (REPO / "src" / package).rglob("*.py"):
        roots = {name.split(".")[0] for name in _imports(path)}
        assert not roots & HEAVY, path


def test_answers_use_the_standard_library_only():
    import sys

    for path in (REPO / "src" / "answers").rglob("*.py"):
        roots = {name.split(".")[0] for name in _imports(path)} - {"src"}
        assert roots <= set(sys.stdlib_module_names), path


def test_nothing_edits_the_import_path():
    for path in [*FILES, *(REPO / "evaluation").rglob("*.py")]:
        assert "sys.path" not in path.read_text(encoding="utf-8"), path
    for script in (REPO / "scripts").glob("*.sh"):
        assert "PYTHONPATH" not in script.read_text(encoding="utf-8"), script
