"""Models in this process under examination: what comes out must not depend on how prompts are put together."""

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

import transformers  # noqa: E402
from examined import answer_all, ask_them, make_prompts, open_them, write_model, write_run  # noqa: E402

from raft_cli.errors import ModelError  # noqa: E402
from raft_cli.progress import Progress  # noqa: E402
from raft_cli.train.merging.merge import merge_run  # noqa: E402

PROMPTS = make_prompts(72)
ONE, MANY = 1, 6000  # tokens of a batch: one prompt, or dozens

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("models") / "base")


@pytest.fixture(scope="module")
def run(base: Path) -> Path:
    return write_run(base.parent / "run", base)


def test_a_batch_gives_what_single_prompts_give(base: Path, run: Path, tmp_path: Path) -> None:
    single = ask_them([base, run], tmp_path / "single.sqlite", PROMPTS, batch_tokens=ONE)
    batched = ask_them([base, run], tmp_path / "batched.sqlite", PROMPTS, batch_tokens=MANY)
    assert single == batched
    for replies in batched:
        lengths = {reply.completion_tokens for reply in replies}
        assert len(lengths) > 8 and {reply.finish for reply in replies} == {"stop", "length"}
        assert len({reply.text for reply in replies}) > 60
    assert sum(one.text != other.text for one, other in zip(*batched, strict=True)) > 60


def test_answers_are_those_of_transformers(base: Path, tmp_path: Path) -> None:
    (student,), journal = open_them([base], tmp_path / "journal.sqlite")
    replies = answer_all(student, PROMPTS)
    model = transformers.AutoModelForCausalLM.from_pretrained(base)
    tokenizer = transformers.AutoTokenizer.from_pretrained(base)
    for prompt, reply in zip(PROMPTS[:20], replies, strict=False):
        turns = [{"role": message.role, "content": message.content} for message in prompt]
        ids = tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_dict=False)
        assert student.encode(prompt) == ids and reply.prompt_tokens == len(ids)
        asked = torch.tensor([ids])
        said = model.generate(
            asked, attention_mask=torch.ones_like(asked), max_new_tokens=16, do_sample=False, pad_token_id=0
        )[0, len(ids) :].tolist()
        ended = said[-1] in model.generation_config.eos_token_id
        assert reply.completion_tokens == len(said) and reply.finish == ("stop" if ended else "length")
        assert reply.text == tokenizer.decode(said[:-1] if ended else said, skip_special_tokens=True)
    journal.close()


def test_one_set_of_weights_answers_as_two_would(base: Path, run: Path, tmp_path: Path) -> None:
    other = write_run(tmp_path / "other", base, seed=2, use_dora=True)
    names = [run, base, other, base, run]
    together = ask_them(names, tmp_path / "together.sqlite", PROMPTS[:24])
    apart = [ask_them([name], tmp_path / f"{at}.sqlite", PROMPTS[:24])[0] for at, name in enumerate(names[:3])]
    assert [[reply.text for reply in each] for each in together[:3]] == [
        [reply.text for reply in each] for each in apart
    ]
    assert len({each[0].text for each in apart}) == 3


def test_a_merged_model_answers_as_its_adapter(run: Path, tmp_path: Path) -> None:
    merged = merge_run(run, tmp_path / "merged", progress=Progress(quiet=True)).out
    adapted, whole = ask_them([run, merged], tmp_path / "journal.sqlite", PROMPTS[:40])
    assert [reply.text for reply in adapted] == [reply.text for reply in whole]


@pytest.mark.parametrize("batch_tokens", [ONE, MANY])
def test_an_answer_ends_before_a_stop_string(base: Path, tmp_path: Path, batch_tokens: int) -> None:
    (student,), journal = open_them([base], tmp_path / "journal.sqlite", batch_tokens=batch_tokens)
    free = answer_all(student, PROMPTS, max_tokens=24)
    stops = [text[4:9] for reply in free if len(text := reply.text) > 12 and text[4:9].isprintable()][:3]
    assert len(stops) == 3
    cut = answer_all(student, PROMPTS, max_tokens=24, stop=stops)
    stopped = 0
    for whole, part in zip(free, cut, strict=True):
        places = [at for stop in stops if (at := whole.text.find(stop)) >= 0]
        assert part.text == whole.text[: min(places, default=None)]
        if places:
            stopped += 1
            assert part.finish == "stop" and 0 < part.completion_tokens <= whole.completion_tokens
        else:
            assert part == whole
    assert stopped >= 3
    journal.close()


def test_a_model_without_end_is_cut_at_the_limit(tmp_path: Path) -> None:
    rambling = write_model(tmp_path / "rambling", ends=0)
    (replies,) = ask_them([rambling], tmp_path / "journal.sqlite", PROMPTS[:8], max_tokens=33)
    assert {(reply.finish, reply.completion_tokens) for reply in replies} == {("length", 33)}
    assert not any(reply.estimated or reply.replayed for reply in replies)


def test_equal_prompts_are_asked_once(base: Path, tmp_path: Path) -> None:
    (student,), journal = open_them([base], tmp_path / "journal.sqlite")
    replies = answer_all(student, [PROMPTS[0], PROMPTS[1], PROMPTS[0], PROMPTS[0]])
    assert replies[0] == replies[2] == replies[3] != replies[1] and journal.totals()[0] == 2
    journal.close()


def test_nothing_is_cut_to_fit(base: Path, tmp_path: Path) -> None:
    (student,), journal = open_them([base], tmp_path / "journal.sqlite")
    lengths = student.measure(PROMPTS)
    assert lengths == [len(student.encode(prompt)) for prompt in PROMPTS] and student.context == 512
    room = 512 - max(lengths)
    answer_all(student, PROMPTS[:2], max_tokens=4)
    with pytest.raises(ModelError, match=r"leaves no room.*nothing is cut"):
        answer_all(student, PROMPTS, max_tokens=room + 1)
    assert journal.totals()[0] == 2
    fitting = [prompt for prompt, length in zip(PROMPTS, lengths, strict=True) if length == max(lengths)]
    assert answer_all(student, fitting, max_tokens=room)[0].prompt_tokens == max(lengths)
    journal.close()


def test_a_tokenizer_of_another_model_is_noticed(base: Path, tmp_path: Path) -> None:
    odd = write_model(tmp_path / "odd")
    small = transformers.LlamaConfig(
        vocab_size=300, hidden_size=32, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2
    )
    transformers.LlamaForCausalLM(small).save_pretrained(odd)
    with pytest.raises(ModelError, match="do not belong together"):
        ask_them([odd], tmp_path / "journal.sqlite", PROMPTS[:2])


def test_who_is_who(base: Path, run: Path, tmp_path: Path) -> None:
    other = write_run(tmp_path / "other", base, seed=2)
    names = [base, run, other]
    students, journal = open_them(names, tmp_path / "journal.sqlite")
    again, second = open_them([*names, base], tmp_path / "second.sqlite", dtype="fp32")
    identities = {student.identity for student in (*students, *again)}
    assert len(identities) == 6 and again[0].identity == again[3].identity
    assert [student.name for student in students] == [str(name) for name in names]
    template = write_model(tmp_path / "template")
    (template / "chat_template.jinja").write_text(
        "{% for message in messages %}{{ message.content }}<|im_end|>{% endfor %}"
    )
    (changed,), third = open_them([template], tmp_path / "third.sqlite")
    assert changed.identity not in identities and changed.identity.split()[1] == students[0].identity.split()[1]
    for held in (journal, second, third):
        held.close()
