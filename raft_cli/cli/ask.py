"""`raft ask`: one question after the other to a model, with the passages and quotations behind each answer."""

import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from raft_cli.errors import ConfigError, Interrupted, RaftError

_EPILOG = (
    'Example: `raft ask data/ --model run/ "How long is the warranty?"` — without a question they are read from the '
    "terminal, or line by line from a pipe."
)
_WHERE, _ANSWER = "Model", "Answer"


def ask(
    data: Annotated[Path, typer.Argument(help="Dataset folder: its passages are searched.", metavar="DATA")],
    question: Annotated[
        str | None, typer.Argument(help="The question; without it many are read.", metavar="QUESTION")
    ] = None,
    *,
    model: Annotated[
        str,
        typer.Option(
            help="Folder of `raft train`, a model folder or id, or endpoint:MODEL@URL.",
            metavar="MODEL",
            rich_help_panel=_WHERE,
        ),
    ],
    base: Annotated[
        str,
        typer.Option(
            help="Base of an adapter, where it is not found by itself.", metavar="ID_OR_PATH", rich_help_panel=_WHERE
        ),
    ] = "",
    device: Annotated[
        str, typer.Option(help="Where it runs: auto, cpu, cuda, cuda:1, mps.", metavar="NAME", rich_help_panel=_WHERE)
    ] = "auto",
    precision: Annotated[
        Literal["auto", "bf16", "fp16", "fp32"],
        typer.Option(
            help="Arithmetic. auto: 16 bits on a GPU, as stored on a CPU.",
            metavar="auto|bf16|fp16|fp32",
            rich_help_panel=_WHERE,
        ),
    ] = "auto",
    trust_remote_code: Annotated[
        bool, typer.Option("--trust-remote-code", help="Run Python code of the model.", rich_help_panel=_WHERE)
    ] = False,
    env_file: Annotated[
        str,
        typer.Option(help="File with keys, besides the environment.", metavar="FILE", rich_help_panel=_WHERE),
    ] = ".env",
    timeout: Annotated[
        float, typer.Option(help="Seconds to wait for more from an endpoint.", min=1, rich_help_panel=_WHERE)
    ] = 300.0,
    documents: Annotated[
        int | None,
        typer.Option(
            "--documents", "-k", help="Passages in the prompt. Default: as in training.", min=0, rich_help_panel=_ANSWER
        ),
    ] = None,
    max_tokens: Annotated[int, typer.Option(help="Most tokens of an answer.", min=1, rich_help_panel=_ANSWER)] = 512,
    system: Annotated[
        str | None,
        typer.Option(help="System turn. Default: that of the training.", metavar="TEXT", rich_help_panel=_ANSWER),
    ] = None,
    show_prompt: Annotated[
        bool, typer.Option("--show-prompt", help="Show the prompt as well.", rich_help_panel=_ANSWER)
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object a question.", rich_help_panel=_ANSWER)
    ] = False,
) -> None:
    """Ask a model about your documents: retrieve, prompt as in training, check each quotation of the answer.

    The answer is shown as it is written; then the passages that the model was given, and where each quotation stands.
    """
    from raft_cli.chat.streaming import open_stream
    from raft_cli.cli.answering import View, warn
    from raft_cli.evaluate.ask import ask_question
    from raft_cli.evaluate.library import choose_count, compare_corpora, open_library, read_training

    if sys.stderr.isatty():
        typer.echo(f"opening {data} and {model} …", err=True)
    library, training = open_library(data), read_training(model)
    answering = open_stream(
        model,
        base=base,
        device=device,
        dtype=precision,
        trust_remote_code=trust_remote_code,
        env_file=env_file,
        timeout=timeout,
    )
    for note in filter(None, (compare_corpora(training, library), *answering.notes)):
        warn(note)
    view = View(as_json=as_json, show_prompt=show_prompt, single=question is not None)

    def answer(asked: str) -> None:
        exchange = ask_question(
            asked,
            library,
            answering,
            system=training.system if system is None else system,
            count=choose_count(training, library) if documents is None else documents,
            max_tokens=max_tokens,
            begin=view.begin,
            say=view.say,
        )
        view.finish(exchange)

    with _stop_on_ctrl_c():
        _answer_all(question, answer)


def _answer_all(question: str | None, answer: Callable[[str], None]) -> None:
    """Answer the question, or those that are read; at a terminal a failure ends one question, not all."""
    if question is not None:
        answer(question)
        return
    if hasattr(sys.stdin, "reconfigure"):
        sys.stdin.reconfigure(encoding="utf-8", errors="replace")
    if sys.stdin.isatty():
        for asked in _read_terminal():
            try:
                answer(asked)
            except RaftError as error:
                typer.echo(typer.style("error: ", fg=typer.colors.RED, bold=True) + str(error), err=True)
        return
    some = False
    for line in sys.stdin:
        if line.strip():
            some = True
            answer(line)
    if not some:
        raise ConfigError("no question: give one behind the options, or one a line on standard input")


def _read_terminal() -> Iterator[str]:
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401 - `input` then edits lines, wide characters included
    typer.echo("Ask a question a line; Ctrl-D ends.", err=True)
    while True:
        try:
            line = input("\n? " if sys.stdout.isatty() else "")
        except (EOFError, KeyboardInterrupt):
            typer.echo(err=True)
            return
        if line.strip():
            yield line.strip()


@contextlib.contextmanager
def _stop_on_ctrl_c() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        typer.echo(err=True)
        raise Interrupted("by Ctrl-C, before the answer was complete") from None


def register(app: typer.Typer, context: Mapping[str, Any]) -> None:
    """Add the command to the application."""
    app.command("ask", epilog=_EPILOG, context_settings=dict(context))(ask)
