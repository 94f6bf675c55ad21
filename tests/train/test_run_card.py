"""The cards say what was done, how to ask and what nobody tested, and stay readable whatever the names are."""

import re
import shlex
from typing import Any

import pytest
from manifests import make_manifest

from raft_cli.config.train import TrainConfig
from raft_cli.cot import BEGIN, END, TAG
from raft_cli.data import Chunk
from raft_cli.prompts import render_documents
from raft_cli.train.reports.card import render_card, render_merged_card
from raft_cli.train.reports.facts import write_command
from raft_cli.train.reports.serving import choose_context, explain_adapter, explain_model

MERGED: dict[str, Any] = {
    "kind": "merged",
    "base": {"name": "Qwen/Qwen2.5-7B-Instruct"},
    "run": {"manifest": "ef" * 32},
    "adapter": {"rank": 16, "layers": 196, "quantised": False, "way": "tensor by tensor"},
    "weights": {"types": ["bfloat16"], "bytes": 15, "files": {}},
}


def make_chunk(text: str) -> Chunk:
    return Chunk("id", "document", 0, text, 0, len(text), (), None, 4, "a.md", "A", "en")


def words(text: str) -> str:
    return " ".join(text.split())


def test_the_front_matter_is_what_the_hub_reads() -> None:
    front = render_card(make_manifest()).split("---\n")[1]
    assert 'base_model: "Qwen/Qwen2.5-7B-Instruct"\nbase_model_relation: adapter\nlibrary_name: peft\n' in front
    assert "license" not in front
    full = make_manifest(config={"method": "full"}, recipe={"method": "full"})
    assert "base_model_relation: finetune\nlibrary_name: transformers\n" in render_card(full)
    assert "Rank" not in render_card(full) and "    vllm serve DIR --max-model-len 8192\n" in render_card(full)


def test_it_says_what_it_was_trained_on_and_what_came_out() -> None:
    card = render_card(make_manifest())
    for line in (
        "| Rows trained on | 9,802 |",
        "| Rows set aside | 17 too-long, 2 control-token |",
        "| Share of them with the oracle | 80.1 % |",
        "| Documents of a row, on average | 4.98 |",
        "| Share of rows with the oracle, as generated | 80 % |",
        "| Device | NVIDIA H200 |",
        f"| SHA-256 of train.jsonl | {'cd' * 32} |",
        "| Best validation loss (kept) | 0.7321, step 600 |",
        "| … of rows with the oracle | 0.6365 |",
        "| … of rows without it | 1.1565 |",
        "| Optimizer | adamw\\_torch\\_fused |",
        "| torch | 2.13.0 |",
        "into chunks of **512 tokens**",
        "whose licence holds",
    ):
        assert line in card
    assert "Training is not finished." in render_card(make_manifest(result=None))


def test_it_claims_nothing() -> None:
    card = render_card(make_manifest()).lower()
    assert "what it has not been tested for" in card and "not whether they are right" in card
    assert not re.search(r"\b(improve[sd]?|better|best-in|state.of.the.art|outperform|powerful|robust)\b", card)


def test_the_prompt_is_that_of_the_rows() -> None:
    card = render_card(make_manifest())
    example = re.search(r"```text\n(<DOCUMENT>.*?)\nthe question\n```", card, re.DOTALL)
    chunks = [make_chunk("text of a document"), make_chunk("text of another")]
    assert example and example[1] + "\n" == render_documents(chunks)
    assert f"{BEGIN}words copied from a document{END}" in card and f"\n{TAG} the answer\n" in card
    assert "U+200D" in card and "chat template of this folder" in card
    plain = render_card(make_manifest(prompt={"template": "plain"}))
    assert "without a chat template, two line breaks behind it" in plain and "--chat-template" not in plain
    other = render_card(make_manifest(data={"format": "messages"}))
    assert "the question\n```" not in other and "`example.txt` of the run shows one" in words(other)


def test_a_system_message_stands_there_to_the_letter() -> None:
    system = "Answer from the documents.\n```\nAs *JSON*.\n```"
    card = render_card(make_manifest(prompt={"system": system}))
    assert f"````text\n{system}\n````\n\nThe user message holds the documents" in card


def test_names_of_others_break_nothing() -> None:
    card = render_card(make_manifest(base={"name": "org/a|b <script>\n# no"}, data={"path": "x | y"}))
    assert "| Base | org/a\\|b \\<script\\> # no |" in card and "| Data | x \\| y |" in card
    assert 'base_model: "org/a|b <script>\\n# no"' in card


def test_a_smoke_model_is_called_what_it_is() -> None:
    smoke = make_manifest(base={"smoke": True})
    assert "**Of no use.**" in render_card(smoke) and "**Of no use.**" in render_merged_card(MERGED, smoke)
    assert "Of no use" not in render_card(make_manifest())


def test_little_is_known_and_it_still_renders() -> None:
    card = render_card({})
    assert "an unnamed base" in card and "| Rank" not in card


def test_the_command_can_be_run_again() -> None:
    config = {"model": "a b", "rank": 16, "method": "lora", "dora": True, "targets": "q_proj,v_proj", "alpha": None}
    command = shlex.split(write_command(make_manifest(config=config, data={"path": "/my data"})))
    assert command[:5] == ["raft", "train", "my data", "-o", "RUN"]
    assert command[5:] == ["--model", "a b", "--rank", "16", "--targets", "q_proj,v_proj", "--dora", "--batch", "32"]
    assert TrainConfig(model="a b").method == "lora"  # a default, and so not in the command


def test_the_card_tells_nothing_of_the_machine() -> None:
    place = {"nodes": 2, "node_rank": 1, "rendezvous": "gpu7.inner:29500", "processes": 8, "device": "cuda"}
    run = make_manifest(config=place, data={"path": "/home/ann/handbook"})
    for card in (render_card(run), render_merged_card(MERGED, run)):
        assert "| Data | handbook |" in card and "/home/ann" not in card
        assert "gpu7" not in card and "--device" not in card and "--processes" not in card and "--node" not in card


def test_a_base_is_quoted_for_the_shell() -> None:
    assert "    vllm serve '/my models/base' --enable-lora" in render_card(
        make_manifest(base={"name": "/my models/base"})
    )


def test_the_rows_of_a_step_are_those_that_were_planned() -> None:
    assert "| Rows of a step, on average | 31.4 |" in render_card(make_manifest(rows={"step": 31.42}))
    assert "Rows of a step" not in render_card(make_manifest())


@pytest.mark.parametrize(("rank", "least"), [(1, 1), (4, 8), (8, 8), (24, 32), (129, 256), (512, 512)])
def test_vllm_is_given_a_rank_that_it_knows(rank: int, least: int) -> None:
    said = explain_adapter(base="org/base", rank=rank, dora=False, chat=True, longest=3000)
    assert f"vllm serve org/base --enable-lora --lora-modules raft=RUN --max-lora-rank {least} " in said
    assert "--max-model-len 3072 --chat-template RUN/chat_template.jinja\n" in said


def test_what_vllm_does_not_load_is_merged_first() -> None:
    for rank, dora, why in ((8, True, "DoRA"), (600, False, "rank is above the 512")):
        said = explain_adapter(base="org/base", rank=rank, dora=dora, chat=True, longest=0)
        assert why in said and "raft merge RUN -o DIR" in said and "vllm serve" not in said


def test_a_merged_card_says_how_to_serve_and_convert() -> None:
    card = render_merged_card(MERGED, make_manifest())
    for line in (
        "    vllm serve DIR --max-model-len 8192\n",
        "    python convert_hf_to_gguf.py DIR --outfile model.gguf --outtype bf16\n",
        "    llama-quantize model.gguf model-Q4_K_M.gguf Q4_K_M\n",
        "    llama-server -m model-Q4_K_M.gguf -c 8192 --jinja\n",
        "    FROM ./model.gguf\n    PARAMETER num_ctx 8192\n",
        "| Adapter | rank 16, 196 layers |",
        "base_model_relation: merge",
    ):
        assert line in card
    assert "4-bit" not in card
    quantised = {**MERGED, "adapter": {**MERGED["adapter"], "quantised": True}}
    assert "trained over a 4-bit base" in render_merged_card(quantised, make_manifest())


def test_the_context_holds_the_longest_row() -> None:
    assert [choose_context(longest) for longest in (0, 1, 1024, 1025, 8190)] == [0, 1024, 1024, 2048, 8192]
    assert "TEMPLATE {{ .Prompt }}" in explain_model(chat=False, longest=0)
