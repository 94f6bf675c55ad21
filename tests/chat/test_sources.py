"""From names to files: which weights an adapter goes on, and what is wrong with broken folders."""

import json
import shutil
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from examined import answer_all, ask_them, make_prompts, open_them, write_model, write_run  # noqa: E402

from raft_cli.chat.holder import Holder, choose_device  # noqa: E402
from raft_cli.chat.sources import find_sources  # noqa: E402
from raft_cli.errors import ConfigError, ModelError  # noqa: E402

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    write_run(folder / "run", write_model(folder / "base"))
    write_model(folder / "other", seed=5)
    return folder


@pytest.fixture
def run(models: Path, tmp_path: Path) -> Path:
    """A copy of the run, to be broken."""
    return shutil.copytree(models / "run", tmp_path / "run")


def change(path: Path, **values: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def test_an_adapter_goes_on_the_base_of_its_training(models: Path) -> None:
    tuned, base = find_sources([str(models / "run"), str(models / "base")], base="")
    assert tuned.base.path == base.base.path == models / "base" and tuned.weights == base.weights
    assert tuned.adapter == tuned.folder == models / "run" and base.adapter is None
    assert tuned.adapter_hash and not base.adapter_hash


def test_a_base_that_has_moved_is_known_by_its_weights(models: Path, run: Path, tmp_path: Path) -> None:
    moved = shutil.copytree(models / "base", tmp_path / "moved")
    change(run / "manifest.json", base={**json.loads((run / "manifest.json").read_text())["base"], "path": "/nowhere"})
    change(run / "manifest.json", base={**json.loads((run / "manifest.json").read_text())["base"], "name": "/nowhere"})
    with pytest.raises(ModelError, match=r"the base of .*run is not found; point to it with --base"):
        find_sources([str(run)], base="")
    assert find_sources([str(run)], base=str(moved))[0].base.path == moved
    tuned, base = find_sources([str(run), str(moved)], base="")
    assert tuned.base.path == moved and tuned.weights == base.weights


def test_a_base_with_other_weights_is_refused(models: Path, run: Path) -> None:
    with pytest.raises(ModelError, match=r"holds other weights than those .*run was trained on \(SHA-256 \w{12}…"):
        find_sources([str(run)], base=str(models / "other"))
    known = json.loads((run / "manifest.json").read_text())["base"]
    change(run / "manifest.json", base={**known, "path": str(models / "other")})
    with pytest.raises(ModelError, match="holds other weights"):
        find_sources([str(run)], base="")


def test_an_adapter_without_manifest_names_its_base(models: Path, run: Path) -> None:
    (run / "manifest.json").unlink()
    for file in run.glob("tokenizer*"):
        file.unlink()
    (source,) = find_sources([str(run)], base="")
    assert source.base.path == models / "base" == source.folder
    change(run / "adapter_config.json", base_model_name_or_path=None)
    with pytest.raises(ModelError, match="not found; point to it with --base"):
        find_sources([str(run)], base="")


def test_broken_folders_say_what_to_do(models: Path, run: Path, tmp_path: Path) -> None:
    def refuse(match: str, *names: object) -> None:
        with pytest.raises(ModelError, match=match):
            find_sources([str(name) for name in names], base="")

    refuse("no such folder", tmp_path / "nothing")
    (tmp_path / "empty").mkdir()
    refuse("no config.json there", models / "base", tmp_path / "empty")
    (tmp_path / "begun" / "checkpoints").mkdir(parents=True)
    refuse("is not finished; run the same `raft train` again", tmp_path / "begun")
    change(run / "manifest.json", complete=False)
    refuse("is not finished", run)
    (run / "manifest.json").write_text("{")
    refuse("is not JSON.*copy the folder again", run)
    (run / "manifest.json").write_text("[]")
    refuse(r"is not what it should be: \[\]", run)
    (run / "manifest.json").unlink()
    change(run / "adapter_config.json", peft_type="PREFIX_TUNING")
    refuse("only LoRA adapters", run)
    (run / "adapter_model.safetensors").unlink()
    refuse("has lost its adapter_model.safetensors", run)


def test_damaged_weights_say_so(models: Path, run: Path, tmp_path: Path) -> None:
    prompts = make_prompts(2)
    (run / "adapter_model.safetensors").write_bytes(b"not these")
    with pytest.raises(ModelError, match=r"its adapter does not go on .*base"):
        ask_them([run], tmp_path / "one.sqlite", prompts)
    (base, tuned), journal = open_them([models / "base", run], tmp_path / "two.sqlite")
    for _ in range(2):
        with pytest.raises(ModelError, match="does not go on"):
            answer_all(tuned, prompts)
    assert len(answer_all(base, prompts)) == 2  # the failure of one leaves the other as it was
    journal.close()
    broken = shutil.copytree(models / "base", tmp_path / "broken")
    (broken / "model.safetensors").write_bytes(b"not these")
    with pytest.raises(ModelError, match="cannot be loaded"):
        ask_them([broken], tmp_path / "three.sqlite", prompts)


def test_devices_are_checked_before_anything_is_loaded() -> None:
    assert choose_device("cpu") == "cpu"
    with pytest.raises(ConfigError, match="--device nonsense"):
        choose_device("nonsense")
    if not torch.cuda.is_available():
        with pytest.raises(ConfigError, match="--device cuda"):
            choose_device("cuda")


def test_base_and_adapters_share_one_set_of_weights(models: Path, tmp_path: Path) -> None:
    write_run(tmp_path / "second", models / "base", seed=3)
    names = [models / "base", models / "run", tmp_path / "second", models / "other"]
    base, first, second, other = find_sources([str(name) for name in names], base="")
    holder = Holder(device="cpu", dtype="auto", trust_remote_code=False)
    held, scores = [], []
    for source in (base, first, base, second, first, base):
        with holder.use(source) as model, torch.inference_mode():
            held.append(model)
            scores.append(model(torch.arange(20)[None]).logits)
    assert all(model is held[0] for model in held)
    assert torch.equal(scores[0], scores[2]) and torch.equal(scores[0], scores[5]) and torch.equal(scores[1], scores[4])
    assert not any(torch.allclose(scores[0], scores[at], atol=0.1) for at in (1, 3)) and not torch.equal(*scores[3:5])
    with holder.use(other) as model:
        assert model is not held[0]
