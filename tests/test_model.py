"""Models are found, or it is said why not."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from train.models import write_json, write_model

from raft_cli.data import Message
from raft_cli.errors import ModelError
from raft_cli.model import IGNORED, check_trainable, choose_files, find_model, load_student


def test_a_folder_is_found_and_named_by_its_whole_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_model(tmp_path / "models" / "tiny", "chatml")
    monkeypatch.chdir(tmp_path)
    found = find_model("models/tiny", weights=False)
    assert (found.name, found.path) == (str(tmp_path / "models" / "tiny"), tmp_path / "models" / "tiny")
    assert found.config["model_type"] == "llama" and found.revision == ""


def test_weights_are_safetensors(tmp_path: Path) -> None:
    write_model(tmp_path, "chatml")
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(ModelError, match=r"no \*\.safetensors there"):
        find_model(str(tmp_path), weights=True)
    (tmp_path / "model.safetensors").write_bytes(b"")
    assert find_model(str(tmp_path), weights=True).path == tmp_path


@pytest.mark.parametrize("name", ["./none", "/none/at/all", "~/no-such-model-here", "none", "a/b/c", "missing"])
def test_what_is_neither_folder_nor_id_of_the_hub(name: str) -> None:
    with pytest.raises(ModelError, match="no such folder"):
        find_model(name, weights=False)


def test_a_folder_beside_others_is_no_id_of_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "models").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match="no such folder"):
        find_model("models/tiny", weights=False)


def break_config(folder: Path) -> None:
    (folder / "config.json").write_text("{broken", encoding="utf-8")


def make_adapter(folder: Path) -> None:
    (folder / "adapter_config.json").write_text("{}", encoding="utf-8")


def make_both(folder: Path) -> None:
    make_adapter(folder)
    (folder / "config.json").write_text("{}", encoding="utf-8")


def set_list(folder: Path) -> None:
    (folder / "config.json").write_text("[]", encoding="utf-8")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda folder: None, "no config.json there"),
        (break_config, "config.json cannot be read"),
        (set_list, "config.json cannot be read"),
        (make_adapter, "is an adapter, no whole model; `raft merge"),
        (make_both, "holds a model and an adapter"),
    ],
)
def test_a_folder_of_something_else(tmp_path: Path, make: Callable[[Path], None], said: str) -> None:
    make(tmp_path)
    with pytest.raises(ModelError, match=said):
        find_model(str(tmp_path), weights=False)


@pytest.mark.parametrize(
    ("name", "said"),
    [("someone/some-model", "cannot be reached"), ("some one/some:model", "neither a folder nor an id of the Hub")],
)
def test_the_hub_without_a_network(name: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("huggingface_hub")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelError, match=said):
        find_model(name, weights=False)


def test_a_tokenizer_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ModelError, match="its tokenizer cannot be read"):
        load_student(tmp_path)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_a_folder_without_a_tokenizer(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    write_json(tmp_path / "config.json", {"model_type": "llama"})
    with pytest.raises(ModelError, match="its tokenizer cannot be read"):
        load_student(tmp_path)


def test_broken_settings_of_a_tokenizer(tmp_path: Path) -> None:
    write_model(tmp_path, "chatml")
    (tmp_path / "tokenizer_config.json").write_text("{", encoding="utf-8")
    with pytest.raises(ModelError, match="its tokenizer cannot be read"):
        load_student(tmp_path)


def test_the_settings_may_be_missing(tmp_path: Path) -> None:
    write_model(tmp_path, "chatml")
    (tmp_path / "tokenizer_config.json").unlink()
    student = load_student(tmp_path)
    assert (student.end_token, student.pad_token) == ("<|im_end|>", "<|endoftext|>")


def test_older_models_name_their_tokens_in_a_file_of_its_own(tmp_path: Path) -> None:
    write_model(tmp_path, "base")
    (tmp_path / "tokenizer_config.json").unlink()
    write_json(tmp_path / "special_tokens_map.json", {"eos_token": {"content": "<|end_of_text|>"}})
    assert load_student(tmp_path).end_token == "<|end_of_text|>"


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_a_template_beyond_us_is_left_to_transformers(tmp_path: Path) -> None:
    """What we cannot compile, transformers may; where it cannot either, its words are passed on."""
    pytest.importorskip("transformers")
    write_model(tmp_path, "chatml")
    (tmp_path / "chat_template.jinja").write_text("{% no_such_tag %}", encoding="utf-8")
    with pytest.raises(ModelError, match="no_such_tag"):
        load_student(tmp_path).encode_prompt([Message("user", "a")])


def test_a_quantised_base_is_refused_before_training(tmp_path: Path) -> None:
    made = {"quantization_config": {"quant_method": "awq"}}
    for config in (made, {"model_type": "gemma3", "text_config": made}):
        write_json(tmp_path / "config.json", config)
        with pytest.raises(ModelError, match="quantised already; give the model in 16 bits"):
            check_trainable(find_model(str(tmp_path), weights=False))
    for config in ({}, {"quantization_config": None, "text_config": {}}):
        write_json(tmp_path / "config.json", config)
        check_trainable(find_model(str(tmp_path), weights=False))


CODE = """
from pathlib import Path
from transformers import PreTrainedTokenizerFast

Path(__file__).with_name("ran").touch()


class Own(PreTrainedTokenizerFast):
    pass
"""


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_code_of_a_tokenizer_is_run_on_demand_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("transformers")
    monkeypatch.setattr("builtins.input", lambda asked: pytest.fail("it asks"))
    model = tmp_path / "model"
    write_model(model, "chatml")
    settings = json.loads((model / "tokenizer_config.json").read_text(encoding="utf-8"))
    settings |= {"tokenizer_class": "Own", "auto_map": {"AutoTokenizer": [None, "own.Own"]}}
    write_json(model / "tokenizer_config.json", settings)
    write_json(model / "config.json", {"model_type": "own"})
    (model / "own.py").write_text(CODE, encoding="utf-8")
    with pytest.raises(ModelError, match="Python code of its own, which `raft train` runs with --trust-remote-code"):
        load_student(model, exact=True)
    assert load_student(model, exact=True, code=True).end_token == "<|im_end|>"


def test_no_weights_are_fetched_twice_and_no_code_unasked() -> None:
    hub = pytest.importorskip("huggingface_hub.utils")
    small, weights = {"config.json", "tokenizer.json"}, {"model-00001-of-00002.safetensors"}
    others = {
        "consolidated.safetensors",
        "original/params.json",
        "onnx/config.json",
        "1_Pooling/a.safetensors",
        "a.bin",
    }
    files = [*small, *weights, *others, "modeling.py", "code/own.py"]
    for wanted, code, found in (
        (False, False, small),
        (True, False, small | weights),
        (True, True, small | weights | {"modeling.py"}),
    ):
        patterns = choose_files(weights=wanted, code=code)
        assert set(hub.filter_repo_objects(files, allow_patterns=patterns, ignore_patterns=IGNORED)) == found
