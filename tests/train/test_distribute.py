"""How a model is spread over devices: what the libraries make of our settings, without any device."""

from pathlib import Path

import pytest
from runs import make_recipe

from raft_cli.train.records import Recipe

pytestmark = pytest.mark.slow


def spread(strategy: str, *, checkpointing: bool) -> Recipe:
    return make_recipe(Path("base"), strategy=strategy, checkpointing=checkpointing, method="full", precision="bf16")


@pytest.mark.parametrize("checkpointing", [False, True])
def test_fsdp_is_the_second_version_and_recomputes_by_itself(checkpointing: bool, tmp_path: Path) -> None:
    from accelerate import FullyShardedDataParallelPlugin

    from raft_cli.train.sft import build_settings

    settings = build_settings(tmp_path, spread("fsdp", checkpointing=checkpointing))
    plugin = FullyShardedDataParallelPlugin(**settings.fsdp_plugin_args)
    assert plugin.fsdp_version == 2 and plugin.reshard_after_forward is True
    assert plugin.auto_wrap_policy.__name__ == "transformer_auto_wrap_policy"  # each layer, as the model names them
    assert plugin.state_dict_type.name == "FULL_STATE_DICT"
    assert plugin.activation_checkpointing is checkpointing and settings.gradient_checkpointing is False


def test_without_it_the_trainer_recomputes(tmp_path: Path) -> None:
    from raft_cli.train.sft import build_settings

    settings = build_settings(tmp_path, spread("ddp", checkpointing=True))
    assert settings.gradient_checkpointing is True and not settings.fsdp and settings.deepspeed is None


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_deepspeed_is_stage_three_and_nothing_is_left_to_guess(precision: str, tmp_path: Path) -> None:
    pytest.importorskip("deepspeed")
    from transformers.integrations.deepspeed import HfTrainerDeepSpeedConfig

    from raft_cli.train.distribute import build_deepspeed
    from raft_cli.train.sft import build_settings

    recipe = make_recipe(tmp_path, strategy="ddp", method="full", accumulation=4, max_grad_norm=0.5)
    spread = make_recipe(tmp_path, strategy="deepspeed", precision=precision)
    found = HfTrainerDeepSpeedConfig(build_deepspeed(spread))
    settings = build_settings(tmp_path, recipe)
    found.config["bf16"]["enabled"] = found.config["fp16"]["enabled"] = False  # as the settings of a CPU
    found.trainer_config_process(settings)
    shape = type("Config", (), {"hidden_size": 64})
    found.trainer_config_finalize(settings, type("Model", (), {"config": shape()})(), 100)
    assert found.is_zero3() and "auto" not in str(found.config)
    assert found.config["gradient_accumulation_steps"] == 4 and found.config["gradient_clipping"] == 0.5
    enabled = {name: build_deepspeed(spread)[name]["enabled"] for name in ("bf16", "fp16")}
    assert enabled == {"bf16": precision == "bf16", "fp16": precision == "fp16"}
