"""Programs are compared by their calls: names, arguments, nesting, imports; nothing is ever run."""

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raft_cli.evaluate.calls import (
    NO_CALL,
    OTHER_ARGUMENTS,
    OTHER_NAME,
    TOO_MANY,
    UNPARSABLE,
    find_call_fault,
    is_program,
)

GOLD = "torch.hub.load('pytorch/vision', model='resnet50', pretrained=True)"


@pytest.mark.parametrize(
    ("program", "gold", "fault"),
    [
        (GOLD, GOLD, ""),
        ("torch.hub.load('pytorch/vision', pretrained=True, model='resnet50')", GOLD, ""),
        (
            'model = torch.hub.load(\n  "pytorch/vision",\n  model="resnet50",\n  pretrained=True,\n)\nmodel.eval()',
            GOLD,
            "",
        ),
        (f"print({GOLD}.eval())", GOLD, ""),
        (f"```python\nimport torch\nm = {GOLD}\n```", GOLD, ""),
        (f"Use this:\n```\n{GOLD}\n```\nIt loads the model.", GOLD, ""),
        (f"You can call `{GOLD}` for that.", GOLD, ""),
        (f">>> {GOLD}", GOLD, ""),
        (f"That is done so\n{GOLD}\nand no other way", GOLD, ""),
        (GOLD.replace("pretrained=True", "pretrained=True, verbose=False"), GOLD, ""),
        (GOLD.replace("True", "False"), GOLD, OTHER_ARGUMENTS),
        (GOLD.replace("True", "1"), GOLD, OTHER_ARGUMENTS),
        (GOLD.replace(", pretrained=True", ""), GOLD, OTHER_ARGUMENTS),
        (GOLD.replace("'pytorch/vision'", "'pytorch/vision', 'x'"), GOLD, OTHER_ARGUMENTS),
        (GOLD.replace("'pytorch/vision'", "repo='pytorch/vision'"), GOLD, OTHER_ARGUMENTS),
        (GOLD.replace("resnet50", "resnet18"), GOLD, OTHER_ARGUMENTS),
        (GOLD.replace("hub.load", "hub.help"), GOLD, OTHER_NAME),
        (GOLD.replace("torch.hub.load", "tensorflow.load"), GOLD, OTHER_NAME),
        ("hub.load('pytorch/vision'", GOLD, UNPARSABLE),
        ("It loads the model.", GOLD, UNPARSABLE),
        ("", GOLD, NO_CALL),
        ("x = 1", GOLD, NO_CALL),
        ("\n".join([GOLD, *[f"f({at})" for at in range(13)]]), GOLD, TOO_MANY),
        ("import torch.hub as h\nh.load('a')", "torch.hub.load('a')", ""),
        ("from torch import hub\nhub.load('a')", "torch.hub.load('a')", ""),
        ("from torch import hub\nhub.load('a')", "import torch\ntorch.hub.load('a')", ""),
        ("pipeline('a')", "from transformers import pipeline\npipeline('a')", ""),
        ("transformers.pipeline('a')", "from transformers import pipeline\npipeline('a')", ""),
        ("from other import pipeline as p\np('a')", "pipeline('a')", OTHER_NAME),
        ("f(2, 1)", "f(1, 2)", OTHER_ARGUMENTS),
        ("f(1.0)", "f(1)", ""),
        ("f([1, (2,)], {'a': -1})", "f([1, (2, )], {'a': -1})", ""),
        ("f((1, 2))", "f([1, 2])", OTHER_ARGUMENTS),
        ("f({'b': 2, 'a': 1})", "f({'a': 1, 'b': 2})", ""),
        ("f(g(x, k=1))", "f(g(x, k=1))", ""),
        ("f(g(x, k=2))", "f(g(x, k=1))", OTHER_ARGUMENTS),
        ("f(y)", "f(x)", OTHER_ARGUMENTS),
        ("f(x + 1, *a, **b)", "f(x+1, *a, **b)", ""),
        ("f(x + 2)", "f(x + 1)", OTHER_ARGUMENTS),
        ("A.load('x').to('cuda')", "A.load('x').to('cuda')", ""),
        ("A.load('x').to('cpu')", "A.load('x').to('cuda')", OTHER_ARGUMENTS),
        ("A.load('y').to('cuda')", "A.load('x').to('cuda')", OTHER_NAME),
        ("t = T('a')\nm = M('b')", "m = M('b')\nt = T('a')", ""),
        ("m = M('b')", "t = T('a')\nm = M('b')", OTHER_NAME),
        ("f()", "f()", ""),
        ("f(b=1)", "f(a=1)", OTHER_ARGUMENTS),
    ],
)
def test_calls(program: str, gold: str, fault: str) -> None:
    assert find_call_fault(program, gold) == fault


def test_a_gold_without_a_call_cannot_be_compared() -> None:
    assert is_program(GOLD)
    assert not is_program("GET /v1/items")
    assert not is_program("x = 1")
    with pytest.raises(ValueError, match="no program"):
        find_call_fault(GOLD, "the load function")


def test_nothing_is_run(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    program = f"import antigravity\n__import__('os').mkdir({str(trace)!r})\nf(1)"
    assert find_call_fault(program, "f(1)") == ""
    assert not trace.exists()
    assert "antigravity" not in sys.modules


@pytest.mark.parametrize(
    "program",
    ["(" * 5_000, "f(" * 5_000, "-" * 19_000 + "1", "f(" + "[" * 90 + "]" * 90 + ")", "a" + ".b" * 9_000, "\0f(1)",
     "f('\\d')", "f(1)" * 6_000, "x = " + "1+" * 8_000 + "1", "f(" + "9" * 6_000 + ")",
     "f(\ud800)", "lambda: " * 900 + "1"],
)  # fmt: skip
def test_hostile_programs_are_merely_wrong(program: str) -> None:
    assert find_call_fault(program, "g(1)") in (UNPARSABLE, NO_CALL, OTHER_NAME, TOO_MANY)


VALUES = st.recursive(
    st.one_of(st.integers(), st.booleans(), st.text(max_size=5), st.none()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)),
    max_leaves=6,
)


@given(st.lists(VALUES, max_size=3), st.dictionaries(st.sampled_from("abcd"), VALUES, max_size=3), st.randoms())
def test_the_order_of_keywords_and_the_quotes_of_strings_do_not_matter(
    args: list[object], keywords: dict[str, object], random: object
) -> None:
    words = [f"{name}={value!r}" for name, value in keywords.items()]
    gold = f"m.f({', '.join([*map(repr, args), *words])})"
    random.shuffle(words)  # type: ignore[attr-defined]
    assert find_call_fault(f"x = g(m.f({', '.join([*map(repr, args), *words])}))", gold) == ""


@given(st.text(max_size=60))
def test_any_text_can_be_compared(text: str) -> None:
    assert find_call_fault(text, "g(1, a=2)") != ""
