"""A merged model is what peft makes of base and adapter, and appears whole or not at all."""

import json
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM
from transformers.utils import logging
from typer.testing import CliRunner

from raft_cli.cli import app, register_commands
from raft_cli.errors import ConfigError, ModelError
from raft_cli.train.merging.merge import merge_run
from raft_cli.weights import hash_weights, list_shards

# peft and transformers warn of each other's ways while these tests build their models.
pytestmark = pytest.mark.filterwarnings("ignore")

SIZES = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 128,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
IDS = torch.tensor([[5, 9, 77, 3, 120, 64, 8, 31]])
KILLED = """
import os, signal
from pathlib import Path
from raft_cli.progress import Progress
from raft_cli.train.merging.merge import merge_run

class Deadly(Progress):
    def show(self, done, note):
        if done == 12:
            os.kill(os.getpid(), signal.SIGKILL)

merge_run(Path("run"), Path("model"), progress=Deadly(quiet=True))
"""
FULL = """
import resource
from pathlib import Path
from raft_cli.errors import ModelError
from raft_cli.train.merging.merge import merge_run
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    merge_run(Path("run"), Path("model"))
except ModelError as error:
    print(error)
"""


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    logging.disable_progress_bar()
    yield
    torch.set_num_threads(threads)


def make_base(
    folder: Path = Path("base"),
    *,
    kind: str = "llama",
    dtype: torch.dtype = torch.float32,
    shard: str = "1GB",
    **more: Any,
) -> Path:
    torch.manual_seed(0)
    sizes: dict[str, Any] = {**SIZES, "tie_word_embeddings": False, **more}
    model: Any = Qwen2ForCausalLM(Qwen2Config(**sizes)) if kind == "qwen2" else LlamaForCausalLM(LlamaConfig(**sizes))
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(parameter)
    model.to(dtype).save_pretrained(folder, max_shard_size=shard)
    (folder / "tokenizer.json").write_text('{"from": "base"}')
    (folder / "tokenizer.model").write_text("pieces")
    (folder / "LICENSE").write_text("terms")
    return folder


def make_run(base: Path, folder: Path = Path("run"), *, manifest: dict[str, Any] | None = None, **lora: Any) -> Path:
    """Write a run whose adapter differs from nothing in every layer."""
    settings = {"r": 4, "lora_alpha": 12, "target_modules": "all-linear", "task_type": "CAUSAL_LM", **lora}
    model: Any = get_peft_model(AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32), LoraConfig(**settings))
    torch.manual_seed(1)
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            parameter.data += 0.1 * torch.randn_like(parameter)
    model.save_pretrained(folder)
    (folder / "tokenizer.json").write_text('{"from": "run"}')
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    kind = json.loads((base / "config.json").read_text())["architectures"][0]
    held = {
        "kind": "run",
        "complete": True,
        "base": {"name": str(base.resolve()), "path": str(base.resolve()), "weights": "", "architecture": kind},
        "config": {"method": "lora"},
        "recipe": {"end_id": 7},
        "prompt": {"system": "", "template": "chat", "digest": "d"},
    }
    (folder / "manifest.json").write_text(json.dumps({**held, **(manifest or {})}))
    return folder


def merge_by_peft(base: Path, run: Path, dtype: torch.dtype = torch.float32) -> dict[str, torch.Tensor]:
    model = AutoModelForCausalLM.from_pretrained(base, dtype=dtype)
    merged: Any = PeftModel.from_pretrained(model, str(run)).merge_and_unload()
    return dict(merged.state_dict())


def read_weights(folder: Path) -> dict[str, torch.Tensor]:
    return {name: tensor for path in list_shards(folder) for name, tensor in load_file(path).items()}


def ask(model: torch.nn.Module) -> torch.Tensor:
    with torch.inference_mode():
        return torch.as_tensor(model.eval()(IDS).logits)


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    held = json.loads(path.read_text())
    change(held)
    path.write_text(json.dumps(held))


KINDS = {
    "lora": {},
    "rslora": {"use_rslora": True},
    "dora": {"use_dora": True},
    "rank above one layer": {"target_modules": ["q_proj", "down_proj"], "r": 16},
}


@pytest.mark.parametrize("name", KINDS)
def test_the_weights_are_those_of_peft_to_the_last_digit(name: str) -> None:
    base = make_base()
    run = make_run(base, **KINDS[name])
    done = merge_run(run, Path("model"))
    expected, found = merge_by_peft(base, run), read_weights(Path("model"))
    assert not done.obstacle and set(found) == set(expected)
    for key, tensor in expected.items():
        assert torch.allclose(found[key], tensor, rtol=0, atol=1e-6), key
    changed = [key for key, tensor in read_weights(base).items() if not torch.equal(tensor, found[key])]
    assert len(changed) == done.layers > 0


@pytest.mark.parametrize("name", ["lora", "dora"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_sixteen_bits_differ_from_peft_by_rounding_only(name: str, dtype: torch.dtype) -> None:
    base = make_base(dtype=dtype)
    run = make_run(base, **KINDS[name])
    assert merge_run(run, Path("model")).precisions == (str(dtype).removeprefix("torch."),)
    exact, found = merge_by_peft(base, run, torch.float32), read_weights(Path("model"))
    rough = merge_by_peft(base, run, dtype)
    for key, tensor in found.items():
        assert tensor.dtype == dtype
        assert torch.equal(tensor, exact[key].to(dtype)) or torch.allclose(tensor.float(), exact[key], rtol=2**-7), key
        assert (tensor.float() - exact[key]).norm() <= (rough[key].float() - exact[key]).norm() * 1.01 + 1e-9, key


@pytest.mark.parametrize(
    ("kind", "shard", "more"),
    [
        ("llama", "1GB", {}),
        ("llama", "20KB", {"tie_word_embeddings": True}),
        ("qwen2", "20KB", {}),
        ("qwen2", "1GB", {"tie_word_embeddings": True}),
    ],
)
@pytest.mark.parametrize("dora", [False, True])
def test_the_merged_model_answers_as_base_and_adapter_together(
    kind: str, shard: str, more: dict[str, Any], dora: bool
) -> None:
    base = make_base(kind=kind, shard=shard, **more)
    run = make_run(base, use_dora=dora)
    merge_run(run, Path("model"))
    together = ask(PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), str(run)))
    alone = ask(AutoModelForCausalLM.from_pretrained("model"))
    assert torch.allclose(alone, together, atol=1e-5)
    assert not torch.allclose(alone, ask(AutoModelForCausalLM.from_pretrained(base)), atol=1e-2)
    assert len(list_shards(Path("model"))) == len(list_shards(base)) and (len(list_shards(base)) > 1) == (
        shard != "1GB"
    )


def test_the_folder_holds_all_that_a_server_needs() -> None:
    base = make_base(shard="20KB")
    run = make_run(base)
    done = merge_run(run, Path("deep/er/model"))
    out = Path("deep/er/model")
    names = {path.name for path in out.iterdir()}
    assert names == {
        *(path.name for path in base.iterdir()),
        *("tokenizer.json", "chat_template.jinja", "README.md", "manifest.json"),
    }
    assert json.loads((out / "tokenizer.json").read_text()) == {"from": "run"}
    assert json.loads((out / "generation_config.json").read_text())["eos_token_id"] == [2, 7]
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["kind"] == "merged" and manifest["complete"] and len(manifest["run"]["manifest"]) == 64
    index = json.loads((out / "model.safetensors.index.json").read_text())
    assert index == json.loads((base / "model.safetensors.index.json").read_text()) | {"metadata": index["metadata"]}
    assert index["metadata"]["total_size"] == done.size == sum(t.nbytes for t in read_weights(out).values())
    assert set(manifest["weights"]["files"]) == {path.name for path in list_shards(out)}
    assert "llama-quantize" in (out / "README.md").read_text()


@pytest.mark.parametrize(
    ("name", "dtype"), [("bf16", torch.bfloat16), ("fp16", torch.float16), ("fp32", torch.float32)]
)
def test_dtype_is_that_of_every_weight_and_of_the_configuration(name: str, dtype: torch.dtype) -> None:
    base = make_base(dtype=torch.bfloat16)
    run = make_run(base)
    merge_run(run, Path("model"), precision=name)
    assert {tensor.dtype for tensor in read_weights(Path("model")).values()} == {dtype}
    assert AutoModelForCausalLM.from_pretrained("model", dtype="auto").dtype == dtype


def test_numbers_too_large_for_fp16_are_refused() -> None:
    base = make_base()
    run = make_run(base)
    weights = load_file(base / "model.safetensors")
    weights["model.norm.weight"][0] = 1e6
    save_file(weights, base / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"model\.norm\.weight holds numbers too large for 16-bit floats"):
        merge_run(run, Path("model"), precision="fp16")
    assert not list(Path().glob("model*"))


@pytest.mark.parametrize(
    ("lora", "why"),
    [
        ({"target_modules": ["q_proj", "embed_tokens"]}, "embed_tokens"),
        ({"bias": "all", "target_modules": ["q_proj"]}, "bias is all"),
        ({"lora_bias": True, "target_modules": ["q_proj"]}, "lora_bias is set"),
        ({"rank_pattern": {"q_proj": 8}}, "rank_pattern is set"),
        ({"alpha_pattern": {"q_proj": 3}}, "alpha_pattern is set"),
        ({"modules_to_save": ["lm_head"], "target_modules": ["q_proj"]}, "modules_to_save is set"),
        ({"trainable_token_indices": {"embed_tokens": [3, 4]}}, "trainable_token_indices is set"),
        ({"init_lora_weights": "pissa"}, "it began as pissa"),
    ],
)
def test_what_goes_beyond_plain_layers_is_left_to_peft(lora: dict[str, Any], why: str) -> None:
    base = make_base(kind="qwen2")
    run = make_run(base, **lora)
    done = merge_run(run, Path("model"))
    assert why in done.obstacle and "merged by peft" in done.notes[0]
    together = ask(PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), str(run)))
    assert torch.allclose(ask(AutoModelForCausalLM.from_pretrained("model")), together, atol=1e-5)
    assert json.loads(Path("model/generation_config.json").read_text())["eos_token_id"] == [2, 7]


def test_a_base_that_names_its_tensors_otherwise_is_left_to_peft() -> None:
    base = make_base()
    run = make_run(base)
    weights = {name.removeprefix("model."): tensor for name, tensor in load_file(base / "model.safetensors").items()}
    save_file(weights, base / "model.safetensors", metadata={"format": "pt"})
    assert "under another name" in merge_run(run, Path("model")).obstacle
    together = ask(PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), str(run)))
    assert torch.allclose(ask(AutoModelForCausalLM.from_pretrained("model")), together, atol=1e-5)


def test_embeddings_that_are_used_twice_are_not_changed_once() -> None:
    base = make_base(tie_word_embeddings=True)
    run = make_run(base, target_modules=["q_proj", "embed_tokens"])
    with pytest.raises(ModelError, match="for input and output; serve it unmerged"):
        merge_run(run, Path("model"))


def test_after_qlora_the_card_says_that_answers_differ() -> None:
    run = make_run(make_base(), manifest={"config": {"method": "qlora"}})
    assert "4-bit" in merge_run(run, Path("model")).notes[0]
    assert "differ a little" in " ".join(Path("model/README.md").read_text().split())


def refused(run: Path = Path("run"), out: str = "model", **more: str) -> str:
    with pytest.raises(ModelError) as caught:
        merge_run(run, Path(out), **more)
    assert not list(Path().glob("model*"))
    return str(caught.value)


def test_what_is_no_finished_run_is_named() -> None:
    run = Path("run")
    run.mkdir()
    assert "is no run of `raft train`" in refused()
    (run / "metrics.jsonl").touch()
    assert "is not finished" in refused()
    for manifest, said in (
        ({"kind": "merged"}, "is merged already"),
        ({"format": 1}, "is no run of `raft train`"),
        ({"kind": "run"}, "is not finished"),
        ({"kind": "run", "complete": True, "config": {"method": "full"}}, "it is a whole model already"),
        ({"kind": "run", "complete": True}, "has lost its adapter_model.safetensors"),
    ):
        (run / "manifest.json").write_text(json.dumps(manifest))
        assert said in refused()


def test_a_damaged_adapter_is_named() -> None:
    run = make_run(make_base())
    held = load_file(run / "adapter_model.safetensors")
    save_file(
        {name: tensor for name, tensor in held.items() if "lora_B" not in name}, run / "adapter_model.safetensors"
    )
    assert "lacks half of" in refused()
    (run / "adapter_model.safetensors").write_bytes(b"cut")
    assert "its adapter cannot be read" in refused()
    save_file(held, run / "adapter_model.safetensors")
    edit(run / "adapter_config.json", lambda config: config.update(peft_type="IA3"))
    assert "holds a IA3 adapter; only LoRA" in refused()


def test_numbers_that_are_not_finite_are_refused() -> None:
    run = make_run(make_base())
    held = load_file(run / "adapter_model.safetensors")
    held[next(iter(held))][0, 0] = torch.nan
    save_file(held, run / "adapter_model.safetensors")
    assert "numbers that are not finite" in refused()


def test_a_base_that_is_gone_is_asked_for_and_can_be_pointed_to() -> None:
    base = make_base()
    run = make_run(base)
    moved = base.rename("moved")
    assert "point to it with --base PATH_OR_ID" in refused()
    assert merge_run(run, Path("model"), base="moved").base == str(moved.resolve())


def test_another_base_is_refused() -> None:
    base = make_base()
    run = make_run(base)
    make_base(Path("wide"), hidden_size=64)
    make_base(Path("other"), kind="qwen2")
    assert "the adapter's 32×48" in (said := refused(base="wide")) and "is not the base of run" in said
    assert "is a Qwen2ForCausalLM, but run was trained on a LlamaForCausalLM" in refused(base="other")
    edit(run / "manifest.json", lambda held: held["base"].update(weights=hash_weights(base)))
    shutil.copytree(base, "twin")
    assert merge_run(run, Path("out"), base="twin").layers == 14
    weights = load_file(base / "model.safetensors")
    weights["model.norm.weight"][0] += 1
    save_file(weights, Path("twin/model.safetensors"), metadata={"format": "pt"})
    assert "holds other weights than those run was trained on" in refused(base="twin")


def test_a_quantised_base_is_refused() -> None:
    base = make_base()
    make_run(base)
    edit(base / "config.json", lambda config: config.update(quantization_config={"bits": 4}))
    assert "is a quantised model" in refused()
    edit(base / "config.json", lambda config: config.pop("quantization_config"))
    weights = load_file(base / "model.safetensors")
    name = "model.layers.0.self_attn.q_proj.weight"
    save_file({**weights, name: weights[name].to(torch.int8)}, base / "model.safetensors")
    assert f"{name} is quantised" in refused()
    save_file({**weights, name: weights[name].to(torch.float8_e4m3fn)}, base / "model.safetensors")
    assert "F8_E4M3 numbers" in refused()


def test_a_damaged_base_is_named() -> None:
    base = make_base(shard="20KB")
    make_run(base)
    shard = list_shards(base)[2]
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-10])
    assert f"{shard.name} is damaged" in refused()
    shard.unlink()
    assert f"{shard.name} missing" in refused()
    (base / "model.safetensors.index.json").write_text("{")
    assert "cannot be read" in refused()


def test_nothing_is_overwritten() -> None:
    run = make_run(make_base())
    Path("model").mkdir()
    merge_run(run, Path("model"))
    before = {path: path.read_bytes() for path in Path("model").iterdir()}
    with pytest.raises(ModelError, match="nothing is ever overwritten"):
        merge_run(run, Path("model"))
    assert before == {path: path.read_bytes() for path in Path("model").iterdir()}
    with pytest.raises(ModelError, match="is a file"):
        merge_run(run, run / "manifest.json")
    Path("new.part").mkdir()
    Path("new.part/mine").touch()
    with pytest.raises(ModelError, match="not known to be ours"):
        merge_run(run, Path("new"))
    assert Path("new.part/mine").exists()
    with pytest.raises(ConfigError, match="--dtype int4: choose from auto, bf16, fp16, fp32"):
        merge_run(run, Path("new"), precision="int4")


def run_python(code: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_a_kill_leaves_no_model_and_the_same_command_begins_anew() -> None:
    run = make_run(make_base(shard="20KB"))
    assert run_python(KILLED).returncode == -signal.SIGKILL
    assert not Path("model").exists() and not Path("model.part/manifest.json").exists()
    merge_run(run, Path("model"))
    assert not Path("model.part").exists() and (Path("model") / "manifest.json").exists()


def test_a_full_disk_leaves_nothing() -> None:
    make_run(make_base())
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY
    done = run_python(FULL)
    assert "model was not written, and nothing of it is left: no space left there" in done.stdout, done.stderr
    assert not list(Path().glob("model*"))


def test_the_command_says_what_it_wrote_and_what_comes_next() -> None:
    register_commands()
    run = make_run(make_base(), manifest={"config": {"method": "qlora"}})
    done = CliRunner().invoke(app, ["merge", str(run), "-o", "model"])
    assert done.exit_code == 0, done.output
    assert "14 layers of run merged into" in done.stdout and "next      vllm serve model" in done.stdout
    assert "note      trained over a 4-bit base" in done.stdout
    again = CliRunner().invoke(app, ["merge", str(run), "-o", "model"])
    assert again.exit_code == 1 and again.stderr.startswith("error: model is not empty")
