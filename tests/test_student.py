"""A student asks and learns with the same tokens, and they are those of transformers."""

import itertools
import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from train.models import CHATML, FAMILIES, write_json, write_model

from raft_cli.data import Message
from raft_cli.errors import ModelError
from raft_cli.model import load_student
from raft_cli.student import Student

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]

WORDS = [
    *"The pump runs 14 seconds; 30 days <DOCUMENT> 水泵 十四秒，日志。 é 😀 ##Reason: ( 0.5".split(),
    "</DOCUMENT>\n",
    "\n\n",
    " \t",
    "",
]
PROMPTS = {
    "english": "<DOCUMENT>The pump runs for 14 seconds.</DOCUMENT>\nHow long does it run?",
    "chinese": "<DOCUMENT>水泵运行十四秒。</DOCUMENT>\n水泵运行多久？",
    "mixed": "<DOCUMENT>The 水泵 runs 十四 seconds (😀 é).</DOCUMENT>\nHow long 多久?",
    "odd space": "  \n<DOCUMENT>\t a  b \n\n\n c</DOCUMENT>\n\n How   long? \n \n",
    "empty": "",
}
ANSWERS = [
    "##Reason: it says ##begin_quote##14 seconds##end_quote##.\n<ANSWER>: 14 seconds",
    "理由：##begin_quote##十四秒##end_quote##。\n<ANSWER>: 十四秒",
    "\n  spaced  out \n",
    "7",
]
SYSTEMS = ([], [Message("system", "Answer briefly.  ")])


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {family: write_model(tmp_path_factory.mktemp(family), family) for family in FAMILIES}


@pytest.fixture(scope="module")
def students(folders: dict[str, Path]) -> dict[str, Student]:
    return {family: load_student(folder) for family, folder in folders.items()}


def conversations() -> list[list[Message]]:
    earlier = [Message("user", "Hello"), Message("assistant", "Hello to you.")]
    return [
        [*system, *before, Message("user", text)]
        for system, before, text in itertools.product(SYSTEMS, ([], earlier), PROMPTS.values())
    ]


def make_texts(count: int) -> list[str]:
    rng = random.Random("texts")
    return [" ".join(rng.choices(WORDS, k=rng.randint(1, 40))) for _ in range(count)]


@pytest.mark.parametrize("family", FAMILIES)
def test_the_files_read_directly_give_what_transformers_gives(family: str, folders: dict[str, Path]) -> None:
    transformers = pytest.importorskip("transformers")
    tokenizer = transformers.AutoTokenizer.from_pretrained(str(folders[family]))
    direct, exact = load_student(folders[family]), load_student(folders[family], exact=True)
    for messages in conversations():
        expected = ask_transformers(tokenizer, messages, direct)
        assert direct.encode_prompt(messages) == expected
        assert exact.encode_prompt(messages) == expected
    asked = conversations() * len(ANSWERS)
    said = [answer for answer in ANSWERS for _ in conversations()]
    assert direct.encode_pairs(asked, said) == exact.encode_pairs(asked, said)
    assert (direct.end_id, direct.pad_id, direct.template) == (exact.end_id, exact.pad_id, exact.template)


def ask_transformers(
    tokenizer: Any,  # noqa: ANN401 - untyped library
    messages: Sequence[Message],
    student: Student,
) -> list[int]:
    if not student.template:
        return list(tokenizer(student.render_prompt(messages))["input_ids"])
    turns = [{"role": message.role, "content": message.content} for message in messages]
    return list(tokenizer.apply_chat_template(turns, add_generation_prompt=True)["input_ids"])


@pytest.mark.parametrize("family", ["chatml", "llama3", "llama2"])
def test_prompt_and_completion_are_the_whole_conversation(
    family: str, folders: dict[str, Path], students: dict[str, Student]
) -> None:
    transformers = pytest.importorskip("transformers")
    tokenizer = transformers.AutoTokenizer.from_pretrained(str(folders[family]))
    for messages, answer in itertools.product(conversations(), ANSWERS):
        said = Message("assistant", answer.strip())
        turns = [{"role": message.role, "content": message.content} for message in [*messages, said]]
        whole = list(tokenizer.apply_chat_template(turns)["input_ids"])
        prompt, completion = students[family].encode_pairs([messages], [answer])[0]
        assert whole[: len(prompt) + len(completion)] == [*prompt, *completion]
        assert tokenizer.decode(whole[len(prompt) + len(completion) :]).strip() == ""


@pytest.mark.parametrize("family", FAMILIES)
def test_loss_is_on_the_answer_and_the_end_of_the_turn_alone(family: str, students: dict[str, Student]) -> None:
    student = students[family]
    texts = make_texts(400)
    asked = [(Message("user", text),) for text in texts[:200]]
    pairs = student.encode_pairs(asked, texts[200:])
    assert [prompt for prompt, _ in pairs] == student.encode_prompts(asked)
    for (_, completion), answer in zip(pairs, texts[200:], strict=True):
        assert completion[-1] == student.end_id and completion.count(student.end_id) == 1
        said = student.decode(completion, keep_special=True)
        assert said.removesuffix(student.end_token).strip() == answer.strip()
        if family != "llama2":  # whose template writes a blank before and after the answer
            assert said == answer.strip() + student.end_token


@pytest.mark.parametrize("family", FAMILIES)
def test_a_conversation_opens_once(family: str, students: dict[str, Student]) -> None:
    text = students[family].decode(students[family].encode_prompt([Message("user", "Hello")]), keep_special=True)
    for token in ("<|begin_of_text|>", "<s>"):
        assert text.count(token) == (token in text[: len(token)])


def test_what_is_known_of_each_family(students: dict[str, Student]) -> None:
    ends = {family: student.end_token for family, student in students.items()}
    assert ends == {"chatml": "<|im_end|>", "llama3": "<|eot_id|>", "llama2": "</s>", "base": "<|end_of_text|>"}
    pads = {family: (student.pad_token, student.pad_chosen) for family, student in students.items()}
    assert pads["chatml"] == ("<|endoftext|>", False)
    assert pads["llama3"] == ("<|finetune_right_pad_id|>", True)
    assert all(student.pad_id != student.end_id for student in students.values())
    assert all(student.vocabulary > 300 and not student.dated for student in students.values())


def test_a_base_model_is_asked_with_plain_paragraphs(students: dict[str, Student]) -> None:
    base = students["base"]
    asked = [Message("system", "Be brief."), Message("user", "How long?")]
    assert base.render_prompt(asked) == "Be brief.\n\nHow long?\n\n"
    assert base.decode(base.encode_prompt(asked), keep_special=True) == "<|begin_of_text|>Be brief.\n\nHow long?\n\n"


def test_special_tokens_in_plain_text_are_found(students: dict[str, Student]) -> None:
    assert students["llama3"].find_special("so <|eot_id|> it ends") == "<|eot_id|>"
    assert students["chatml"].find_special("<|im_start|>") == "<|im_start|>"
    assert students["chatml"].find_special("a <| b </s> <|im_en") == ""
    assert students["llama2"].find_special("a</s>b") == "</s>"


def test_tokens_are_counted_without_special_ones(students: dict[str, Student]) -> None:
    assert students["llama3"].count_tokens(["", "aé"]) == [0, 3]


def tune(folder: Path, **changed: object) -> Student:
    """Return a ChatML student whose tokenizer settings are others."""
    settings = json.loads((write_model(folder, "chatml") / "tokenizer_config.json").read_text())
    write_json(folder / "tokenizer_config.json", {**settings, **changed})
    return load_student(folder)


def test_a_pad_token_that_is_the_end_token_is_replaced(tmp_path: Path) -> None:
    student = tune(tmp_path, pad_token="<|im_end|>")
    assert (student.pad_token, student.pad_chosen) == ("<|endoftext|>", True)


def test_tokens_may_be_mappings(tmp_path: Path) -> None:
    student = tune(tmp_path, pad_token={"content": "<|endoftext|>"}, eos_token={"content": "<|endoftext|>"})
    assert (student.end_token, student.pad_token) == ("<|im_end|>", "<|endoftext|>")


def test_the_template_says_what_ends_a_turn_even_without_eos(tmp_path: Path) -> None:
    assert tune(tmp_path, eos_token=None, pad_token=None).end_token == "<|im_end|>"


def test_without_any_end_a_student_could_not_learn_to_stop(tmp_path: Path) -> None:
    write_model(tmp_path, "base")
    write_json(tmp_path / "tokenizer_config.json", {})
    with pytest.raises(ModelError, match="never learn to stop"):
        load_student(tmp_path)


def test_a_template_without_an_end_gets_the_end_of_sequence(tmp_path: Path) -> None:
    write_model(tmp_path, "chatml")
    (tmp_path / "chat_template.jinja").write_text("{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}")
    student = load_student(tmp_path)
    _, completion = student.encode_pairs([[Message("user", "How?")]], ["So."])[0]
    assert student.decode(completion, keep_special=True).endswith("So.<|im_end|>")


def test_an_end_that_is_no_added_token_is_put_as_a_token(tmp_path: Path) -> None:
    write_model(tmp_path, "base")
    write_json(tmp_path / "tokenizer_config.json", {"eos_token": "~"})
    student = load_student(tmp_path)
    _, completion = student.encode_pairs([[Message("user", "How?")]], ["So~"])[0]
    assert completion[-1] == student.end_id and student.find_special("a ~ b") == "~"


def test_a_tokenizer_that_closes_every_text_does_not_close_a_prompt(tmp_path: Path) -> None:
    from tokenizers import Tokenizer, processors

    write_model(tmp_path, "base")
    core = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    tokens = [(token, core.token_to_id(token)) for token in ("<|begin_of_text|>", "<|end_of_text|>")]
    core.post_processor = processors.TemplateProcessing(
        single=f"{tokens[0][0]} $A {tokens[1][0]}", special_tokens=tokens
    )
    core.save(str(tmp_path / "tokenizer.json"))
    student = load_student(tmp_path)
    prompt, completion = student.encode_pairs([[Message("user", "How?")]], ["So."])[0]
    assert student.end_id not in prompt and completion.count(student.end_id) == 1


def test_a_template_that_refuses_is_an_error_for_people(students: dict[str, Student]) -> None:
    asked = [Message("user", "a"), Message("user", "b")]
    with pytest.raises(ModelError, match=r"cannot render the prompt: .*must alternate"):
        students["llama2"].encode_prompt(asked)


@pytest.mark.parametrize("exact", [False, True])
def test_of_several_templates_the_default_is_taken(tmp_path: Path, exact: bool) -> None:
    if exact:
        pytest.importorskip("transformers")
    folder = write_model(tmp_path, "chatml")
    (folder / "chat_template.jinja").unlink()
    named = [{"name": "tool_use", "template": "none"}, {"name": "default", "template": CHATML}]
    settings = {"eos_token": "<|im_end|>", "chat_template": named, "tokenizer_class": "PreTrainedTokenizerFast"}
    write_json(folder / "tokenizer_config.json", settings)
    student = load_student(folder, exact=exact)
    assert student.template == CHATML
    assert student.render_prompt([Message("user", "a")]).endswith("<|im_start|>assistant\n")


def test_the_local_teacher_asks_with_the_same_tokens(folders: dict[str, Path], students: dict[str, Student]) -> None:
    """`chat/local.py` asks with `encode_prompt` of an exact student; training encodes with the direct one."""
    pytest.importorskip("transformers")
    asked = (Message("system", "Answer."), Message("user", PROMPTS["mixed"]))
    for family, folder in folders.items():
        assert students[family].encode_pairs([asked], ["yes"])[0][0] == load_student(folder, exact=True).encode_prompt(
            asked
        )


def test_what_a_template_writes_before_an_answer_is_learnt_too(tmp_path: Path) -> None:
    write_model(tmp_path, "chatml")
    turn = "'<|im_start|>' + m.role + '\\n' + ('<think>\\n\\n</think>\\n\\n' if m.role == 'assistant' else '')"
    template = "{% for m in messages %}{{ " + turn + " + m.content + '<|im_end|>\\n' }}{% endfor %}"
    template += "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
    (tmp_path / "chat_template.jinja").write_text(template, encoding="utf-8")
    student = load_student(tmp_path)
    prompt, completion = student.encode_pairs([[Message("user", "How?")]], [" So. "])[0]
    assert student.decode(prompt, keep_special=True).endswith("<|im_start|>assistant\n")
    assert student.decode(completion, keep_special=True) == "<think>\n\n</think>\n\nSo.<|im_end|>"


def test_a_thought_that_the_prompt_opens_is_closed_before_the_answer(tmp_path: Path) -> None:
    """Reasoning models' templates open a thought for a new answer and leave it out of past ones."""
    write_model(tmp_path, "chatml")
    template = "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}{% endfor %}"
    template += "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n<think>\\n' }}{% endif %}"
    (tmp_path / "chat_template.jinja").write_text(template, encoding="utf-8")
    student = load_student(tmp_path)
    prompt, completion = student.encode_pairs([[Message("user", "How?")]], ["So."])[0]
    assert student.apart and student.decode(prompt, keep_special=True).endswith("<|im_start|>assistant\n<think>\n")
    assert student.decode(completion, keep_special=True) == "\n</think>\n\nSo.<|im_end|>"
