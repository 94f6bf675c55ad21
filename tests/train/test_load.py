"""The tokenizer that goes with a trained model, and what of a model is trained."""

from pathlib import Path

import pytest
from models import write_model
from runs import make_recipe
from torch import nn
from transformers import AutoTokenizer

from raft_cli.model import load_student
from raft_cli.train.load import build_adapters, load_tokenizer

TEXTS = ["Yes! It is! The valve closes at 5 bar.", "No. It opens at 7 bar!"] * 50


def test_an_ordinary_word_is_never_made_special(tmp_path: Path) -> None:
    """With no spare token a word pads, by its id; were it declared special it would vanish from every answer."""
    write_model(tmp_path / "model", "chatml", texts=TEXTS, vocabulary=400)
    student = load_student(tmp_path / "model")
    recipe = make_recipe(tmp_path / "model", pad_token="!", pad_id=0, end_id=student.end_id)
    load_tokenizer(recipe).save_pretrained(tmp_path / "saved")
    again = AutoTokenizer.from_pretrained(tmp_path / "saved")
    ids = again.encode("Yes! It is!", add_special_tokens=False)
    assert again.decode(ids, skip_special_tokens=True) == "Yes! It is!"


def test_the_end_of_a_turn_is_where_servers_stop(tmp_path: Path) -> None:
    """A base model may ship a chat template whose end of turn is not its end of text."""
    write_model(tmp_path / "model", "chatml", texts=TEXTS, vocabulary=400)
    student = load_student(tmp_path / "model")
    recipe = make_recipe(tmp_path / "model", pad_token=student.pad_token, pad_id=student.pad_id, end_id=student.end_id)
    assert load_tokenizer(recipe).eos_token_id == student.end_id


@pytest.mark.parametrize("multimodal", [False, True])
def test_the_towers_of_a_multimodal_model_get_no_adapters(multimodal: bool, tmp_path: Path) -> None:
    class Config:
        def get_text_config(self) -> object:
            return object() if multimodal else self

    class Model(nn.Module):
        config = Config()

    adapters = build_adapters(make_recipe(tmp_path), Model())
    assert bool(adapters.exclude_modules) == multimodal
