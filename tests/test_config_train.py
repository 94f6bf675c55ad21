"""Settings of training: each default is valid, each range is checked, each message names its flag; presets hold."""

from typing import Any

import pytest

from raft_cli.config.option import options_of
from raft_cli.config.train import PRESETS, TrainConfig, apply_preset
from raft_cli.errors import ConfigError

OPTIONS = {name: (default, known) for name, default, known in options_of(TrainConfig)}
LOW = [name for name, (_, known) in OPTIONS.items() if known.low is not None]
HIGH = [name for name, (_, known) in OPTIONS.items() if known.high is not None]
NEEDED: dict[str, dict[str, Any]] = {"nodes": {"rendezvous": "a:1"}, "learning_rate": {"learning_rate": 1e-9}}


def test_defaults() -> None:
    config = TrainConfig(model="m")
    assert (config.method, config.rank, config.alpha, config.targets) == ("lora", 32, None, "all-linear")
    assert (config.schedule, config.warmup, config.seed, config.max_lost) == ("cosine", 0.03, 42, 0.01)


def test_every_setting_has_help_and_a_panel() -> None:
    for name, (_, known) in OPTIONS.items():
        assert known.help.endswith((".", ")")) and known.panel, name


@pytest.mark.parametrize("name", LOW)
def test_lower_bounds_hold(name: str) -> None:
    low = OPTIONS[name][1].low
    assert low is not None
    for value in (low - 1, float("nan")):
        with pytest.raises(ConfigError, match=f"--{name.replace('_', '-')} .*: must be at least"):
            TrainConfig(model="m", **{name: value})
    TrainConfig(**{"model": "m", name: low, **NEEDED.get(name, {})})


@pytest.mark.parametrize("name", HIGH)
def test_upper_bounds_hold(name: str) -> None:
    high = OPTIONS[name][1].high
    assert high is not None
    with pytest.raises(ConfigError, match=f"--{name.replace('_', '-')} .*: must be at most"):
        TrainConfig(model="m", **{name: high + 1})


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"model": ""}, "--model is missing"),
        ({"method": "magic"}, "--method magic: unknown value 'magic'; choose from lora, qlora, full"),
        ({"method": "full", "dora": True}, "--dora and --rslora are ways to build adapters"),
        ({"targets": " , "}, "--targets is empty"),
        ({"learning_rate": 0.0}, "--learning-rate 0: would learn nothing"),
        ({"nodes": 2}, "--nodes needs --rendezvous HOST:PORT"),
        ({"node_rank": 1}, "--node-rank 1: the machines are numbered 0 to 0"),
        ({"method": "qlora", "strategy": "fsdp"}, "--strategy fsdp does not shard a 4-bit base"),
        ({"packing": "on", "attention": "eager"}, "--packing on with --attention eager"),
        ({"report_to": "wandb,diary"}, "unknown value 'diary'; choose from tensorboard"),
        ({"preset": "grand"}, "--preset grand: unknown value"),
    ],
)
def test_settings_that_cannot_work(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        apply_preset({"model": "m", **settings})
    assert said in str(caught.value) and caught.value.exit_code == 2


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_settings_that_work(name: str) -> None:
    assert PRESETS[name].keys() <= OPTIONS.keys() - {"preset", "model"}
    config = apply_preset({"model": "m", "preset": name})
    assert {key: getattr(config, key) for key in PRESETS[name]} == PRESETS[name]
    assert any(OPTIONS[key][0] != value for key, value in PRESETS[name].items())


def test_what_is_said_goes_over_the_preset() -> None:
    config = apply_preset({"model": "m", "preset": "qlora-16g", "micro_tokens": 512})
    assert (config.method, config.micro_tokens, config.checkpointing) == ("qlora", 512, "on")
    assert apply_preset({"model": "m"}) == TrainConfig(model="m")
