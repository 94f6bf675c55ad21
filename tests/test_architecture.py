"""The layers of the package hold: every module is parsed, none is imported."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "raft_cli"

# Imports run downwards only, or stay within a folder; the numbers are the layers of docs/architecture.md.
LAYERS = {
    4: {"__main__", "cli"},
    3: {"generate", "train", "evaluate"},
    2: {"corpus", "chat"},
    1: {
        "prompts",
        "student",
        "cot",
        "store",
        "config",
        "progress",
        "project",
        "model",
        "template",
        "weights",
        "locks",
        "base",
    },
    0: {"__init__", "data", "errors", "resources", "language"},
}
APART = ({"generate", "train", "evaluate"}, {"corpus", "chat"})  # folders of one layer that do not know each other

# A stage turns one kind of record into the next and knows neither its neighbours nor the settings object. What it may
# know of its own folder: what several share (`check`: the judgement of texts, `retry`), and the part it is made of
# (`distract` of `mix`, `reading` of `report`). `mix` and `carve` borrow the rounding that `split` promises as well.
STAGES = {
    "ask": {"check", "retry"},
    "answer": {"check", "retry"},
    "check": set(),
    "retry": set(),
    "plan": set(),
    "deduplicate": {"check"},
    "split": set(),
    "carve": {"split"},
    "distract": set(),
    "mix": {"distract", "split"},
    "formats": set(),
    "card": set(),
    "reading": set(),
    "report": {"reading"},
    "folder": set(),
}
# Only these put stages together; the rest of the folder (estimate, figures, outcome, write, export) reads results.
COMPOSERS = {"pipeline", "paid", "teach", "assemble"}
STAGE_FUNCTIONS = {"ask_questions", "answer_question", "find_alike", "split_questions", "mix_rows", "plan_tasks"}

# What runs beside a model only imports torch at its top; everything else imports these late.
TORCH_MODULES = {"chat.kv_cache"} | {
    f"train.{name}" for name in ("attention", "distribute", "load", "sft", "trainer", "watch")
}
HEAVY = set(
    "torch transformers trl peft datasets accelerate openai tiktoken tokenizers aiohttp httpx httpx2 numpy xxhash "
    "semantic_text_splitter pypdfium2 selectolax docx pptx lxml python_calamine chardet jinja2".split()
)

FILE_LINES, FUNCTION_LINES = 250, 40
LONG_FILES = {
    "generate/report.py": "one page: its figures and its template's context",
}
LONG_FUNCTIONS = {
    "generate/figures.py build_figures": "a table of labels and values",
    "generate/outcome.py build_manifest": "the manifest as one literal",
    "train/outcome.py build_manifest": "the manifest as one literal",
    "evaluate/outcome.py sum_up": "the results as one literal",
}
SLACK = 1.2  # how far even those may go


@cache
def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def modules() -> dict[str, Path]:
    """Return each module's dotted name inside the package (`generate.mix`, `cli`) with its file."""
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(parts[:-1]) if parts[-1] == "__init__" and len(parts) > 1 else ".".join(parts)
        found[name] = path
    return found


MODULES = modules()


def imports(name: str) -> Iterator[tuple[str, str]]:
    """Yield (module, name) of what a module imports of the package, wherever in its code."""
    for node in ast.walk(parse(MODULES[name])):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}: relative import"
            if node.module == "raft_cli" or (node.module or "").startswith("raft_cli."):
                inner = (node.module or "").removeprefix("raft_cli").removeprefix(".")
                for alias in node.names:
                    below = f"{inner}.{alias.name}".strip(".")
                    yield (below, "") if below in MODULES else (inner or "__init__", alias.name)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.partition(".")[0] == "raft_cli":
                    yield alias.name.removeprefix("raft_cli").removeprefix(".") or "__init__", ""


GRAPH = {name: {module for module, _ in imports(name)} for name in MODULES}


def top(name: str) -> str:
    return name.partition(".")[0]


def layer(name: str) -> int:
    return next(number for number, names in LAYERS.items() if top(name) in names)


def test_every_module_has_a_layer_and_every_import_leads_somewhere() -> None:
    assert len(MODULES) > 50
    assert [name for name in MODULES if not any(top(name) in names for names in LAYERS.values())] == []
    assert {target for targets in GRAPH.values() for target in targets} <= set(MODULES)


def test_imports_run_downwards() -> None:
    upwards = [f"{name} → {target}" for name in GRAPH for target in GRAPH[name] if layer(target) > layer(name)]
    assert upwards == []


def test_neighbours_in_a_layer_do_not_know_each_other() -> None:
    crossing = [
        f"{name} → {target}"
        for name in GRAPH
        for target in GRAPH[name]
        for group in APART
        if {top(name), top(target)} <= group and top(name) != top(target)
    ]
    assert crossing == []


def test_no_cycles() -> None:
    done: set[str] = set()

    def visit(name: str, above: tuple[str, ...]) -> None:
        assert name not in above, " → ".join([*above[above.index(name) :], name])
        if name not in done:
            for target in sorted(GRAPH[name]):
                visit(target, (*above, name))
            done.add(name)

    for name in GRAPH:
        visit(name, ())


def test_stages_do_not_know_each_other() -> None:
    known = {name.partition(".")[2] for name in MODULES if top(name) == "generate"}
    assert set(STAGES) | COMPOSERS <= known
    for stage, allowed in STAGES.items():
        siblings = {target.partition(".")[2] for target in GRAPH[f"generate.{stage}"] if top(target) == "generate"}
        assert siblings <= allowed, f"generate.{stage} imports {sorted(siblings - allowed)}"
        assert "config" not in GRAPH[f"generate.{stage}"], f"generate.{stage} knows the settings object"


def test_only_the_composers_call_stages() -> None:
    for name in MODULES:
        used = {what for _, what in imports(name)} & STAGE_FUNCTIONS
        assert not used or name.removeprefix("generate.") in COMPOSERS, f"{name} calls {sorted(used)}"
    assert {what for name in MODULES for _, what in imports(name)} >= STAGE_FUNCTIONS


def test_commands_do_not_know_each_other() -> None:
    commands = {name for name in MODULES if name.startswith("cli.") and "register" in functions(MODULES[name])}
    assert commands >= {"cli.generate", "cli.train", "cli.merge", "cli.init", "cli.export"}
    for name in commands:
        assert not GRAPH[name] & (commands | {"cli"}), name


def functions(path: Path) -> set[str]:
    return {node.name for node in parse(path).body if isinstance(node, ast.FunctionDef)}


def test_the_package_face_is_asked_for_its_version_only() -> None:
    asked = {(name, what) for name in MODULES for module, what in imports(name) if module == "__init__"}
    assert {what for _, what in asked} == {"__version__"}, sorted(asked)


def at_import(body: list[ast.stmt]) -> Iterator[ast.Import | ast.ImportFrom]:
    """Yield the imports that run when a module is imported."""
    for node in body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            yield from at_import(node.orelse)
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            for field in ("body", "orelse", "finalbody", "handlers"):
                yield from at_import(getattr(node, field, []))


@pytest.mark.parametrize("name", sorted(MODULES))
def test_heavy_libraries_wait_for_the_function_that_needs_them(name: str) -> None:
    for node in at_import(parse(MODULES[name]).body) if name not in TORCH_MODULES else ():
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
        assert not {top(each) for each in names} & HEAVY, f"{name}, line {node.lineno}: {ast.unparse(node)}"
        late = {f"raft_cli.{module}" for module in TORCH_MODULES}
        assert not set(names) & late, f"{name}, line {node.lineno}: {ast.unparse(node)} loads torch"


def code_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return the lines of a function's body without its docstring."""
    body = node.body[1:] if ast.get_docstring(node) and len(node.body) > 1 else node.body
    return (node.end_lineno or 0) - body[0].lineno + 1


def test_files_and_functions_stay_short() -> None:
    faults = []
    for path in MODULES.values():
        place = path.relative_to(ROOT).as_posix()
        limit = FILE_LINES * (SLACK if place in LONG_FILES else 1)
        if (length := len(path.read_text(encoding="utf-8").splitlines())) > limit:
            faults.append(f"{place}: {length} lines")
        for node in ast.walk(parse(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                limit = FUNCTION_LINES * (SLACK if f"{place} {node.name}" in LONG_FUNCTIONS else 1)
                if code_lines(node) > limit:
                    faults.append(f"{place} {node.name}: {code_lines(node)} lines")
    assert faults == []


def test_nothing_prints_and_nothing_is_left_to_do() -> None:
    for name, path in MODULES.items():
        text = path.read_text(encoding="utf-8")
        assert not [word for word in ("TODO", "FIXME", "XXX", "HACK") if word in text], name
        calls = [node for node in ast.walk(parse(path)) if isinstance(node, ast.Call)]
        assert not [call.lineno for call in calls if ast.unparse(call.func) in ("print", "pprint", "breakpoint")], name
