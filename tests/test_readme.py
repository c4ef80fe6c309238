"""README.md and README_CN.md name commands, flags, variables, formats and files; all of them must be true."""

import ast
import dataclasses
import functools
import json
import re
import shlex
from pathlib import Path

import pytest

from src import params
from src.dataset.converters import CONVERTERS, detect_format
from src.dataset.schema import check

REPO = Path(__file__).resolve().parents[1]
READMES = ("README.md", "README_CN.md")
both = pytest.mark.parametrize("readme", READMES)

COMMON = (params.ModelArguments, params.LoraArguments, params.DataArguments)
OWN = (*COMMON, params.StageArguments, params.SftArguments, params.GrpoArguments)
# Commands that read dataclasses, not argparse definitions of their own.
DATACLASSES = {
    "src.train.train_sft": (*COMMON, params.SftArguments),
    "src.train.train_grpo": (*COMMON, params.GrpoArguments),
    "src.train.doctor": (*COMMON, params.SftArguments, params.GrpoArguments),
}
# Scripts whose further flags go to a module.
PASSED_ON = {
    "finetune_lora.sh": "src.train.train_sft",
    "finetune_lora_vision.sh": "src.train.train_sft",
    "finetune_qlora.sh": "src.train.train_sft",
    "finetune_grpo.sh": "src.train.train_grpo",
    "merge_lora.sh": "src.model.merge",
}
# Flags that the text names with a script's own spelling.
SCRIPT_FLAGS = {"--all", "--help"}
ROOTS = ("src/", "scripts/", "tests/", "evaluation/", "assets/", ".ci/")


@dataclasses.dataclass(frozen=True)
class Command:
    """One command of a bash block: variables set before it, script or module, arguments."""

    variables: tuple[str, ...]
    target: str
    arguments: tuple[str, ...]

    @property
    def flags(self) -> list[str]:
        return [word.split("=")[0] for word in self.arguments if word.startswith("--")]


def text_of(readme: str) -> str:
    return (REPO / readme).read_text(encoding="utf-8")


def fenced(readme: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text_of(readme), re.MULTILINE | re.DOTALL)


def prose(readme: str) -> str:
    return re.sub(r"^```.*?^```$", "", text_of(readme), flags=re.MULTILINE | re.DOTALL)


def lines_of_bash(readme: str) -> list[list[str]]:
    joined = "\n".join(fenced(readme, "bash")).replace("\\\n", " ")
    return [words for line in joined.splitlines() if (words := shlex.split(line, comments=True))]


def commands(readme: str) -> list[Command]:
    found = []
    for words in lines_of_bash(readme):
        if words[0] == "source":
            continue
        variables = [word.split("=")[0] for word in words if re.match(r"[A-Z_]+=", word)]
        launcher, *rest = words[len(variables) :]
        assert launcher in ("bash", "python"), words
        if launcher == "python":
            assert rest.pop(0) == "-m", words
        found.append(Command(tuple(variables), rest[0], tuple(rest[1:])))
    return found


def module_path(module: str) -> Path:
    return REPO / (module.replace(".", "/") + ".py")


@functools.cache
def module_flags(module: str) -> frozenset[str]:
    """Flags of a module: fields of its dataclasses, and what its source adds to a parser."""
    path = module_path(module)
    # A long command keeps its parser in a file of its own.
    sources = [one for one in (path, path.with_stem(f"{path.stem}_cli")) if one.exists()]
    tree = ast.parse("\n".join(one.read_text(encoding="utf-8") for one in sources))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)]
    added = [argument for call in calls if call.func.attr == "add_argument" for argument in call.args]
    flags = {str(node.value) for node in added if isinstance(node, ast.Constant)}
    flags |= {f"--{field.name}" for kind in DATACLASSES.get(module, ()) for field in dataclasses.fields(kind)}
    if module == "src.train.doctor":  # importing the doctor takes long; its own flags are annotated names
        own = next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "DoctorArguments")
        flags |= {f"--{node.target.id}" for node in own.body if isinstance(node, ast.AnnAssign)}
    return frozenset(flag for flag in flags if flag.startswith("--"))


@functools.cache
def script_source(name: str) -> str:
    """Text of a script with that of the scripts that it sources or calls."""
    text = (REPO / "scripts" / name).read_text(encoding="utf-8")
    others = set(re.findall(r"(?:source|bash) scripts/(\w+\.sh)", text)) - {name}
    return "\n".join([text, *((REPO / "scripts" / other).read_text(encoding="utf-8") for other in sorted(others))])


def accepted(command: Command) -> set[str]:
    """Flags that a command takes."""
    if not command.target.endswith(".sh"):
        return set(module_flags(command.target))
    name = Path(command.target).name
    literal = {flag for flag in SCRIPT_FLAGS if flag in (REPO / command.target).read_text(encoding="utf-8")}
    return literal | (set(module_flags(PASSED_ON[name])) if name in PASSED_ON else set())


def has_variable(script: str, variable: str) -> bool:
    return re.search(rf"\b{variable}\b", script_source(script)) is not None


def tables(readme: str) -> list[list[list[str]]]:
    """All tables as rows of cells, header first, without the line below it."""
    found = re.findall(r"(?:^\|.*\|\n)+", prose(readme), re.MULTILINE)
    rows = [[re.split(r"(?<!\\)\|", line)[1:-1] for line in table.splitlines()] for table in found]
    return [[[cell.strip() for cell in row] for row in table[:1] + table[2:]] for table in rows]


def table_with(readme: str, column: int, cell: str) -> list[list[str]]:
    """Rows below the header of the one table that has this cell."""
    found = [table for table in tables(readme) if any(row[column : column + 1] == [cell] for row in table)]
    assert len(found) == 1, f"{len(found)} tables with {cell}"
    return found[0][1:]


def code_spans(text: str) -> list[str]:
    return re.findall(r"`([^`\n]+)`", text)


@both
def test_commands_exist_and_take_their_flags_and_variables(readme):
    found = commands(readme)
    flags = variables = 0
    for command in found:
        is_script = command.target.endswith(".sh")
        assert (REPO / command.target if is_script else module_path(command.target)).is_file(), command.target
        unknown = set(command.flags) - accepted(command)
        assert not unknown, f"{command.target} does not take {sorted(unknown)}"
        assert is_script or not command.variables, command
        for variable in command.variables:
            assert has_variable(Path(command.target).name, variable), f"{command.target} does not read {variable}"
        flags, variables = flags + len(command.flags), variables + len(command.variables)
    assert len(found) >= 27 and flags >= 75 and variables >= 13, (len(found), flags, variables)


@both
def test_repository_files_given_to_commands_exist(readme):
    paths = [word for command in commands(readme) for word in command.arguments if word.startswith(ROOTS)]
    assert len(paths) >= 3
    for path in paths:
        assert (REPO / path).exists(), path


@both
def test_inline_commands_and_paths_exist(readme):
    text = prose(readme)
    named = re.findall(r"(?:python -m|bash) ([\w./]+)", text)
    assert len(named) >= 2
    for target in named:
        assert (REPO / target if target.endswith(".sh") else module_path(target)).is_file(), target
    paths = [span for span in code_spans(text) if re.fullmatch(r"\.?[\w./-]+", span) and span.startswith(ROOTS)]
    assert len(set(paths)) >= 15
    for path in paths:
        assert (REPO / path).exists(), path


@both
def test_inline_flags_exist(readme):
    known = set(SCRIPT_FLAGS)
    for target in {command.target for command in commands(readme) if not command.target.endswith(".sh")}:
        known |= module_flags(target)
    known |= module_flags("src.train.train_grpo") | module_flags("src.train.train_sft")
    flags = {flag for span in code_spans(prose(readme)) for flag in re.findall(r"(?<!\S)--\w[\w-]*", span)}
    flags -= {"--logdir"}  # of tensorboard
    assert len(flags) >= 55
    assert flags <= known, sorted(flags - known)


def test_passed_on_flags_reach_the_module():
    for script, module in PASSED_ON.items():
        text = (REPO / "scripts" / script).read_text(encoding="utf-8")
        assert module in text and text.rstrip().endswith('"$@"'), script


@both
def test_every_script_is_documented(readme):
    scripts = sorted(path.name for path in (REPO / "scripts").glob("*.sh"))
    assert len(scripts) >= 14
    for script in scripts:
        assert script in text_of(readme), script


@both
def test_documented_variables_occur_in_their_script(readme):
    rows = table_with(readme, 0, "`scripts/setup.sh`")
    checked = 0
    for script, _, cell in rows:
        name = Path(script.strip("`")).name
        variables = code_spans(cell)
        assert variables and all(re.fullmatch("[A-Z][A-Z0-9_]+", variable) for variable in variables), cell
        for variable in variables:
            assert has_variable(name, variable), f"{name} does not read {variable}"
        checked += len(variables)
    assert len(rows) >= 10 and checked >= 40, (len(rows), checked)
    for variable, source in {"TEST_WORKERS": "scripts/test.sh", "TEST_DATA": "tests/conftest.py"}.items():
        assert f"`{variable}`" in text_of(readme)
        assert variable in (REPO / source).read_text(encoding="utf-8")


def shown_default(field: dataclasses.Field) -> str:
    return '`""`' if field.default == "" else f"`{field.default}`"


@both
def test_flag_table_lists_exactly_the_fields(readme):
    rows = table_with(readme, 1, "`--model_id`")
    fields = [field for kind in OWN for field in dataclasses.fields(kind) if field.name in kind.__annotations__]
    assert len(fields) >= 45
    wanted = {f"`--{field.name}`": field for field in fields}
    assert sorted(row[1] for row in rows) == sorted(wanted)
    for _, flag, default, meaning in rows:
        assert default == shown_default(wanted[flag]), flag
        assert meaning
        if readme == "README.md" and wanted[flag].metadata.get("help"):
            assert meaning.startswith(wanted[flag].metadata["help"]), flag


def example_row(name: str, spans: list[str]) -> dict:
    """The example of a format as its converter sees it."""
    if name == "csv_caption":
        header, line = spans
        return dict(zip(header.split(","), line.split(","), strict=True))
    parsed = [json.loads(span) for span in spans]
    if name != "rsvqa":
        return parsed[0]
    keys = ("questions", "answers", "images")
    (question,), (answer,), (image,) = (part[key] for part, key in zip(parsed, keys, strict=True))
    assert question["id"] == answer["id"] == answer["question_id"] and question["img_id"] == image["id"]
    return {"question": question, "answer": answer, "image": f"{image['id']}.tif"}


@both
def test_format_examples_are_read(readme):
    rows = table_with(readme, 0, "`llava`")
    assert [row[0].strip("`") for row in rows] == list(CONVERTERS)
    for cell, example, _ in rows:
        name = cell.strip("`")
        row = example_row(name, code_spans(example.replace("\\|", "|")))
        assert detect_format(Path(readme), [row]) == name
        conversation = CONVERTERS[name].convert(row, "0")
        check(conversation)
        assert conversation.images and conversation.turns[-1].text()


def tree_paths(readme: str) -> list[str]:
    (tree,) = [block for block in fenced(readme, "text") if "src/params.py" in block]
    lines = tree.splitlines()
    assert all(re.fullmatch(r"\S+ {2,}\S.*", line) for line in lines)
    return [line.split()[0] for line in lines]


@both
def test_file_tree_is_true_and_complete(readme):
    paths = tree_paths(readme)
    assert len(paths) >= 22
    for path in paths:
        assert (REPO / path).is_dir() if path.endswith("/") else (REPO / path).is_file(), path
    packages = [f"src/{init.parent.name}/" for init in (REPO / "src").glob("*/__init__.py")]
    modules = [f"src/{path.name}" for path in (REPO / "src").glob("[!_]*.py")]
    assert len(packages) >= 7 and len(modules) >= 4
    for name in (*packages, *modules):
        assert name in paths, f"{name} is missing from the file tree"
    for name in ("evaluation/", "scripts/", "tests/", "assets/nano/"):
        assert name in paths


@both
def test_relative_links_resolve(readme):
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", text_of(readme)) if "://" not in link]
    assert len(links) >= 2
    for link in links:
        assert (REPO / link.split("#")[0]).exists(), link


@both
def test_result_tables_have_their_place(readme):
    for name in ("story", "real"):
        assert len(re.findall(rf"^<!-- table: {name} -->\n(?:.*\n)*?<!-- end -->$", text_of(readme), re.M)) == 1, name


def test_both_languages_say_the_same():
    english, chinese = READMES
    assert lines_of_bash(english) == lines_of_bash(chinese)
    assert tree_paths(english) == tree_paths(chinese)
    for readme, other in ((english, chinese), (chinese, english)):
        assert f"({other})" in text_of(readme)
    levels = [re.findall(r"^(#+) ", prose(readme), re.MULTILINE) for readme in READMES]
    assert levels[0] == levels[1] and len(levels[0]) >= 12
    sizes = [[(len(table), {len(row) for row in table}) for table in tables(readme)] for readme in READMES]
    assert sizes[0] == sizes[1] and len(sizes[0]) >= 5
    # First columns and defaults are names, not words: they must not differ.
    for column, cell in ((0, "`scripts/setup.sh`"), (0, "`llava`"), (1, "`--model_id`"), (2, "`None`")):
        first, second = ([row[column] for row in table_with(readme, column, cell)] for readme in READMES)
        assert first == second
    spans = [sorted(set(re.findall(r"`(--[\w-]+|[A-Z][A-Z_0-9]{3,})", prose(readme)))) for readme in READMES]
    assert spans[0] == spans[1]
