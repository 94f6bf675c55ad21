"""Training: it learns, stops, is killed and goes on as if nothing had been; two processes do what one does."""

import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
from runs import (
    END,
    kill,
    losses,
    make_recipe,
    make_rows,
    make_run,
    result,
    start_training,
    train_here,
    wait_for_step,
)

from raft_cli.errors import Interrupted, ModelError, TrainingError
from raft_cli.store import read_json
from raft_cli.train.checkpoints import find_checkpoints
from raft_cli.train.records import Encoded
from raft_cli.train.tiny import write_tiny_model

pytestmark = pytest.mark.slow

METHODS: dict[str, dict[str, Any]] = {
    "lora": {},
    "rslora": {"rslora": True},
    "dora": {"dora": True},
    "qlora": {"method": "qlora"},
    "full": {"method": "full", "learning_rate": 3e-3},
    "dropout": {"dropout": 0.1, "checkpointing": True},
}


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base") / "model"
    write_tiny_model(folder)
    return folder


@pytest.mark.parametrize("method", METHODS)
def test_killed_and_resumed_it_is_as_if_nothing_had_been(method: str, base: Path, tmp_path: Path) -> None:
    recipe = make_recipe(base, **METHODS[method])
    undisturbed = make_run(tmp_path / "undisturbed", recipe)
    train_here(undisturbed)
    validation = losses(undisturbed, "eval_loss")
    assert validation[12] < validation[0] - 0.05
    assert (
        losses(undisturbed, "eval_oracle_loss").keys()
        == losses(undisturbed, "eval_absent_loss").keys()
        == {0, 4, 8, 12}
    )

    killed = make_run(tmp_path / "killed", recipe)
    process = start_training(killed)
    wait_for_step(killed, process, 6)
    kill(process)
    half = killed / "checkpoints" / "checkpoint-99"  # what a kill leaves of a checkpoint
    half.mkdir()
    (half / "trainer_state.json").write_text("{")
    train_here(killed)
    assert not half.exists()
    for name in ("loss", "eval_loss", "eval_oracle_loss", "eval_absent_loss", "grad_norm", "learning_rate"):
        assert losses(killed, name) == pytest.approx(losses(undisturbed, name), abs=5e-5), name
    for name in ("tokens", "supervised"):
        assert losses(killed, name) == losses(undisturbed, name), name
    assert result(killed)["best_step"] == result(undisturbed)["best_step"] > 0


def test_packed_rows_do_not_see_each_other(base: Path, tmp_path: Path) -> None:
    """One step over everything: the loss is the same whether rows are packed or padded."""
    rows = make_rows(24, 3)
    first = []
    for packing in (False, True):
        recipe = make_recipe(base, packing=packing, micro_tokens=4096, accumulation=1, steps=1, eval_every=1)
        run = make_run(tmp_path / str(packing), recipe, rows=rows)
        train_here(run)
        first.append((losses(run)[1], losses(run, "grad_norm")[1], losses(run, "eval_oracle_loss")[0]))
    assert first[0] == pytest.approx(first[1], rel=1e-5)


def test_validation_loss_is_the_mean_over_supervised_tokens(base: Path, tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    run = make_run(tmp_path / "run", make_recipe(base, steps=1, eval_every=1))
    train_here(run)
    model = AutoModelForCausalLM.from_pretrained(base)
    sums = {True: [0.0, 0], False: [0.0, 0]}
    for row in make_rows(20, 2):
        ids = torch.tensor([[*row.prompt, *row.completion]])
        with torch.no_grad():
            logits = model(ids).logits[0, len(row.prompt) - 1 : -1]
        sums[row.present][0] += float(
            torch.nn.functional.cross_entropy(logits, ids[0, len(row.prompt) :], reduction="sum")
        )
        sums[row.present][1] += len(row.completion)
    assert losses(run, "eval_oracle_loss")[0] == pytest.approx(sums[True][0] / sums[True][1], rel=1e-5)
    assert losses(run, "eval_absent_loss")[0] == pytest.approx(sums[False][0] / sums[False][1], rel=1e-5)
    whole = (sums[True][0] + sums[False][0]) / (sums[True][1] + sums[False][1])
    assert losses(run, "eval_loss")[0] == pytest.approx(whole, rel=1e-5)


@pytest.mark.parametrize("method", ["lora", "full"])
def test_two_processes_have_the_losses_of_one(method: str, base: Path, tmp_path: Path) -> None:
    changes = {"steps": 20, "eval_every": 10, **METHODS[method]}
    one = make_run(tmp_path / "one", make_recipe(base, accumulation=4, **changes))
    train_here(one)
    two = make_run(tmp_path / "two", make_recipe(base, accumulation=2, processes=2, **changes))
    process = start_training(two, processes=2)
    assert process.wait(180) == 0, (two / "errors.txt").read_text()
    assert len(losses(two)) == 20
    for name in ("loss", "eval_loss", "eval_oracle_loss", "eval_absent_loss"):
        assert losses(two, name) == pytest.approx(losses(one, name), rel=1e-4), name
    for name in ("tokens", "supervised"):
        assert losses(two, name) == losses(one, name), name


def test_killed_between_the_last_checkpoint_and_the_result(base: Path, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", make_recipe(base))
    train_here(run)
    before, figures = result(run), losses(run)
    (run / "result.json").unlink()
    train_here(run)
    assert {**result(run), "peak_memory": 0} == {**before, "peak_memory": 0} and losses(run) == figures


def test_one_of_two_processes_is_killed_and_the_same_command_goes_on(base: Path, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", make_recipe(base, processes=2, steps=16))
    process = start_training(run, processes=2)
    wait_for_step(run, process, 6)
    kill(process)
    process = start_training(run, processes=2)
    assert process.wait(180) == 0, (run / "errors.txt").read_text()
    assert list(losses(run)) == list(range(1, 17))


@pytest.mark.parametrize(("number", "processes"), [(signal.SIGTERM, 1), (signal.SIGINT, 1), (signal.SIGTERM, 2)])
def test_a_signal_saves_and_stops(number: signal.Signals, processes: int, base: Path, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", make_recipe(base, processes=processes, steps=400, eval_every=5))
    process = start_training(run, processes=processes)
    wait_for_step(run, process, 6)
    if processes == 1:
        process.send_signal(number)
    else:
        (run / "stop").touch()  # as the command does, so that all processes stop at the same step
    assert process.wait(60) == 0, (run / "errors.txt").read_text()
    failure = read_json(run / "failure.json")
    assert failure["code"] == 130 and "a checkpoint is written" in failure["message"]
    step = find_checkpoints(run / "checkpoints")[-1][0]
    assert step == max(losses(run)) < 400 and not (run / "result.json").exists()


def test_it_stops_when_nothing_gets_better(base: Path, tmp_path: Path) -> None:
    recipe = make_recipe(base, method="full", learning_rate=3e-2, schedule="constant", patience=2, steps=80)
    run = make_run(tmp_path / "run", recipe, rows=make_rows(8, 5))  # few enough to learn by heart
    train_here(run)
    validation = losses(run, "eval_loss")
    best = min(validation, key=lambda step: validation[step])
    assert result(run)["stopped_early"] and max(validation) == best + 8 < 80


def test_the_best_checkpoint_outlives_those_that_are_kept(base: Path, tmp_path: Path) -> None:
    recipe = make_recipe(base, schedule="constant", steps=24, eval_every=2, keep=1, learning_rate=0.08)
    run = make_run(tmp_path / "run", recipe)
    train_here(run)
    validation = {step: loss for step, loss in losses(run, "eval_loss").items() if step}
    steps = [step for step, _ in find_checkpoints(run / "checkpoints")]
    best = min(validation, key=lambda step: validation[step])
    assert result(run)["best_step"] == best and best in steps and 24 in steps and len(steps) <= 3


def test_a_loss_that_is_no_number_stops_with_the_rows(base: Path, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", make_recipe(base, method="full", learning_rate=1e30, max_grad_norm=1e30))
    with pytest.raises(TrainingError, match=r"step \d+: .*nan.*--learning-rate.*rows near it: row-\d+"):
        train_here(run)
    assert not (run / "result.json").exists()


def test_a_tokenizer_that_knows_more_than_the_model(base: Path, tmp_path: Path) -> None:
    rows = [*make_rows(5, 1), Encoded("far", [5, 6], [70_000, END], True, 0, 5, (0,))]
    run = make_run(tmp_path / "run", make_recipe(base), rows=rows)
    with pytest.raises(ModelError, match="gives token 70000, but the model has 2048 embeddings"):
        train_here(run)


def test_weights_that_cannot_be_loaded(base: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(base, broken)
    (broken / "model.safetensors").write_bytes(b"\x00" * 100)
    run = make_run(tmp_path / "run", make_recipe(broken))
    with pytest.raises(ModelError, match="cannot be loaded"):
        train_here(run)


def test_interrupted_here(base: Path, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", make_recipe(base))
    (run / "stop").touch()
    with pytest.raises(Interrupted, match="at step 1 of 12"):
        train_here(run)
    (run / "stop").unlink()
    train_here(run)
    assert list(losses(run)) == list(range(1, 13))
