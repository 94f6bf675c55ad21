"""Settings: each default is valid, each range is checked, each message names its flag."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raft_cli.config.generate import FORMATS, KINDS, GenerateConfig
from raft_cli.config.option import options_of
from raft_cli.errors import ConfigError

OPTIONS = {name: (default, known) for name, default, known in options_of(GenerateConfig)}


def test_defaults_are_the_papers_and_ours() -> None:
    config = GenerateConfig()
    assert (config.distractors, config.oracle_share, config.chunk_size, config.overlap) == (4, 0.8, 512, 0)
    assert (config.questions, config.test_share, config.validation_share, config.seed) == (3, 0.1, 0.1, 42)
    assert config.distractor_range == (4, 4) and config.absent_target == "no-quotes"


def test_every_setting_has_help_and_a_panel() -> None:
    for name, (_, known) in OPTIONS.items():
        assert known.help.endswith((".", ")")) and known.panel, name


def test_paid_settings_are_those_that_reach_a_request() -> None:
    paid = {name for name, (_, known) in OPTIONS.items() if known.paid}
    assert paid == set(
        "teacher base_url judge temperature max_tokens extra_body chunk_size overlap tokenizer questions kinds "
        "questions_file".split()
    )


@pytest.mark.parametrize("name", [name for name, (_, known) in OPTIONS.items() if known.low is not None])
def test_lower_bounds_hold(name: str) -> None:
    known = OPTIONS[name][1]
    assert known.low is not None
    for value in (known.low - 1, float("nan")):
        with pytest.raises(ConfigError, match=f"--{name.replace('_', '-')} .*: must be at least"):
            GenerateConfig(**{name: value})
    GenerateConfig(**{name: known.low, **needed_with(name)})


def needed_with(name: str) -> dict[str, Any]:
    return {"price_in": {"price_out": 1}, "price_out": {"price_in": 1}, "chunk_size": {"overlap": 0}}.get(name, {})


@pytest.mark.parametrize("name", [name for name, (_, known) in OPTIONS.items() if known.high is not None])
def test_upper_bounds_hold(name: str) -> None:
    known = OPTIONS[name][1]
    assert known.high is not None
    with pytest.raises(ConfigError, match=f"--{name.replace('_', '-')} .*: must be at most"):
        GenerateConfig(**{name: known.high + 1})


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"kinds": "factoid,riddle"}, "unknown value 'riddle'; choose from factoid, reasoning, procedural, multi-hop"),
        ({"kinds": ""}, "--kinds is empty"),
        ({"kinds": "factoid,"}, "unknown value ''"),
        ({"distractor_source": "random,lexical"}, "--distractor-source random,lexical: unknown value"),
        ({"split_by": "chunk,document"}, "--split-by chunk,document: unknown value"),
        ({"absent_target": "silence"}, "--absent-target silence: unknown value"),
        ({"format": "messages,xml"}, "unknown value 'xml'"),
        ({"chunk_size": 100, "overlap": 50}, "--overlap 50: must be less than half of --chunk-size 100"),
        ({"test_share": 0.5, "validation_share": 0.5}, "--test-share and --validation-share leave nothing to train on"),
        ({"price_in": 1.0}, "--price-in and --price-out are needed together"),
        ({"vary_distractors": "6:2"}, "give LOW:HIGH with 0 <= LOW <= HIGH"),
        ({"vary_distractors": "3"}, "give two numbers, such as 2:6"),
        ({"vary_distractors": "²:³"}, "give two numbers, such as 2:6"),
        ({"vary_distractors": "-1:3"}, "give two numbers"),
        ({"extra_body": "{top_k: 1}"}, "--extra-body is not JSON"),
        ({"extra_body": "[1]"}, "--extra-body must be a JSON object"),
    ],
)
def test_settings_that_cannot_work(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        GenerateConfig(**settings)
    assert said in str(caught.value) and caught.value.exit_code == 2


@given(st.lists(st.sampled_from(KINDS), min_size=1), st.lists(st.sampled_from(FORMATS)))
def test_lists_of_choices(kinds: list[str], formats: list[str]) -> None:
    config = GenerateConfig(kinds=",".join(kinds), format=",".join(formats))
    assert config.kinds.split(",") == kinds


def test_ranges_of_distractors() -> None:
    assert GenerateConfig(vary_distractors="2:6").distractor_range == (2, 6)
    assert replace(GenerateConfig(), vary_distractors="0:0").distractor_range == (0, 0)
    assert GenerateConfig(distractors=0).distractor_range == (0, 0)
