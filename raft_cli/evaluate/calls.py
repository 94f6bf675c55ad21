"""Compare programs by the calls they make, on the syntax tree. Pure: nothing is executed or imported."""

import ast
import re
import warnings
from collections.abc import Iterator, Mapping

UNPARSABLE, NO_CALL, OTHER_NAME, TOO_MANY = "unparsable", "no-call", "other-name", "too-many-calls"
OTHER_ARGUMENTS = "other-arguments"

_LONGEST = 20_000
_FENCE = re.compile(r"```[ \t]*[\w+-]*[ \t]*\n(.*?)(?:```|\Z)", re.DOTALL)
_INLINE = re.compile(r"`([^`\n]+)`")
_PROMPT = re.compile(r"^(?:>>>|\.\.\.|\$) ?", re.MULTILINE)


def find_call_fault(program: str, gold: str) -> str:
    """Return why a program does not make the calls of the gold one, or an empty string when it does.

    Every outermost call of the gold has to occur somewhere in the program: the same dotted name, as written or as its
    imports resolve it; the gold's positional arguments, in order and no others; the gold's keyword arguments, in any
    order, more being allowed. A dump of calls (over 3 × as many and 10 more) makes none.

    Raises:
        ValueError: The gold itself is no program with a call.
    """
    wanted = _parse(gold)
    if wanted is None or not (needed := list(_outermost(wanted))):
        raise ValueError(f"no program with a call: {gold!r}")
    tree = _parse(program)
    if tree is None:
        return UNPARSABLE
    made = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    if not made:
        return NO_CALL
    if len(made) > 3 * sum(isinstance(node, ast.Call) for node in ast.walk(wanted)) + 10:
        return TOO_MANY
    compare = _Comparison(_imports(wanted), _imports(tree))
    faults = [compare.find_fault(call, made) for call in needed]
    return next((fault for fault in faults if fault), "")


def is_program(text: str) -> bool:
    """Tell whether a text is a program that calls something."""
    tree = _parse(text)
    return tree is not None and any(_outermost(tree))


def _parse(text: str) -> ast.Module | None:
    """Return the tree of the first reading that makes a call, else of the first that parses, else None."""
    trees = [tree for code in _readings(text) if (tree := _parse_code(code)) is not None]
    return next((tree for tree in trees if any(_outermost(tree))), trees[0] if trees else None)


def _readings(text: str) -> Iterator[str]:
    """Yield what may be the program in a text: fenced code, all of it, code spans, single lines."""
    if len(text) > _LONGEST:
        return
    text = _PROMPT.sub("", text.strip()) if ">>>" in text else text.strip()
    if fenced := _FENCE.findall(text):
        yield "\n".join(fenced)
    yield text.strip("`\n ")
    if spans := _INLINE.findall(text):
        yield "\n".join(spans)
    yield from text.splitlines()


def _parse_code(code: str) -> ast.Module | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of escapes in strings that are not ours
            return ast.parse(code.strip())
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _outermost(node: ast.AST) -> Iterator[ast.Call]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Call):
            yield child
        else:
            yield from _outermost(child)


def _imports(tree: ast.Module) -> dict[str, str]:
    """Return what names mean after the imports of a program."""
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update({alias.asname: alias.name for alias in node.names if alias.asname})
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.update({alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names})
    return names


class _Comparison:
    """Compares nodes of the gold with nodes of an answer."""

    def __init__(self, gold_imports: Mapping[str, str], imports: Mapping[str, str]) -> None:
        self._gold_imports = gold_imports
        self._imports = imports

    def find_fault(self, gold: ast.Call, made: list[ast.Call]) -> str:
        named = [call for call in made if self._same_callee(gold.func, call.func)]
        if not named:
            return OTHER_NAME
        return "" if any(self._same_arguments(gold, call) for call in named) else OTHER_ARGUMENTS

    def _same_callee(self, gold: ast.expr, other: ast.expr) -> bool:
        wanted, found = _dotted(gold), _dotted(other)
        if wanted and found:
            meanings = {wanted, _resolve(wanted, self._gold_imports)}
            return bool(meanings & {found, _resolve(found, self._imports)})
        if isinstance(gold, ast.Attribute) and isinstance(other, ast.Attribute):
            return gold.attr == other.attr and self._same(gold.value, other.value)
        return self._same(gold, other)

    def _same_arguments(self, gold: ast.Call, other: ast.Call) -> bool:
        if len(gold.args) != len(other.args):
            return False
        keywords = {word.arg: word.value for word in other.keywords}
        return all(map(self._same, gold.args, other.args)) and all(
            word.arg in keywords and self._same(word.value, keywords[word.arg]) for word in gold.keywords
        )

    def _same(self, gold: ast.expr, other: ast.expr) -> bool:
        if isinstance(gold, ast.Call) and isinstance(other, ast.Call):
            return self._same_callee(gold.func, other.func) and self._same_arguments(gold, other)
        if isinstance(gold, ast.Name | ast.Attribute) and isinstance(other, ast.Name | ast.Attribute):
            return self._same_callee(gold, other) if _dotted(gold) and _dotted(other) else _dump(gold) == _dump(other)
        try:
            return _same_value(ast.literal_eval(gold), ast.literal_eval(other))
        except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
            return _dump(gold) == _dump(other)


def _same_value(one: object, other: object) -> bool:
    """Tell whether two literals are equal; 1 equals 1.0 but not True."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return type(one) is type(other) and len(one) == len(other) and all(map(_same_value, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same_value(one[key], other[key]) for key in one)
    return one == other


def _dotted(node: ast.expr) -> str:
    """Return `a.b.c` for names and attributes of names, else an empty string."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(parts)]) if isinstance(node, ast.Name) else ""


def _resolve(name: str, imports: Mapping[str, str]) -> str:
    head, dot, rest = name.partition(".")
    return imports.get(head, head) + dot + rest


def _dump(node: ast.AST) -> str:
    try:
        return ast.dump(node)
    except RecursionError:
        return ""
