"""The figures of a run: a cut last line is no loss, and what a checkpoint does not know is dropped."""

from pathlib import Path

from raft_cli.store import write_lines
from raft_cli.train.metrics import METRICS, START, read_metrics, rewind_metrics


def write_figures(run: Path) -> list[dict[str, object]]:
    lines: list[dict[str, object]] = [{"step": 0, "eval_loss": 2.0, "seconds": 0.5}]
    for step in (1, 2, 3):
        sums = {"tokens": 100 * step, "supervised": 10 * step, "seconds": 1.0 * step}
        lines.append({"step": step, "loss": 2.0, **sums})
    lines.append({"step": 3, "eval_loss": 1.5, "seconds": 3.25})
    write_lines(run / METRICS, lines)
    return lines


def test_without_a_file_there_are_no_figures(tmp_path: Path) -> None:
    assert read_metrics(tmp_path) == [] and rewind_metrics(tmp_path, 0) == START


def test_a_line_that_a_kill_cut_short_does_not_count(tmp_path: Path) -> None:
    lines = write_figures(tmp_path)
    with (tmp_path / METRICS).open("ab") as file:
        file.write(b'{"step":4,"lo')
    assert read_metrics(tmp_path) == lines
    assert rewind_metrics(tmp_path, 3) == {"tokens": 300.0, "supervised": 30.0, "seconds": 3.0}
    assert (tmp_path / METRICS).read_bytes().endswith(b"}\n")


def test_what_came_after_the_checkpoint_is_dropped(tmp_path: Path) -> None:
    lines = write_figures(tmp_path)
    assert rewind_metrics(tmp_path, 2) == {"tokens": 200.0, "supervised": 20.0, "seconds": 2.0}
    assert read_metrics(tmp_path) == lines[:3]


def test_from_the_start_the_first_evaluation_is_not_there_twice(tmp_path: Path) -> None:
    write_figures(tmp_path)
    assert rewind_metrics(tmp_path, 0) == START and read_metrics(tmp_path) == []
