"""Flags made from a configuration class, and its table in raft.toml as their defaults. Knows no command."""

import inspect
import tomllib
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from raft_cli.config.option import Option, options_of
from raft_cli.errors import ConfigError

CONFIG_FILE = "raft.toml"
COMMANDS = ("generate", "train", "eval")  # tables that a settings file may hold


def add_options(
    command: Callable[..., None],
    config: type,
    *,
    before: Sequence[inspect.Parameter],
    after: Sequence[inspect.Parameter],
) -> None:
    """Give `command` a flag for each setting of `config`, between the parameters of `before` and of `after`.

    The command is called with all of them as keywords.
    """
    hints = typing.get_type_hints(config)
    parameters = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=default,
            annotation=Annotated[hints[name], _build_option(name, hints[name], known)],
        )
        for name, default, known in options_of(config)
    ]
    everything = [*before, *parameters, *after]
    command.__signature__ = inspect.Signature(everything)  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in everything}


def _build_option(name: str, kind: Any, known: Option) -> Any:  # noqa: ANN401 - typer's own types
    flag = "--" + name.replace("_", "-")
    declared = f"{flag}/--no-{flag[2:]}" if kind is bool else flag
    metavar = known.metavar or ("|".join(known.choices) if known.choices else None)
    return typer.Option(
        declared, help=known.help, rich_help_panel=known.panel, metavar=metavar, show_default=kind is not bool
    )


def config_parameter(command: str, config: type) -> inspect.Parameter:
    """Return the `--config FILE` parameter of a command: the file's table gives defaults, flags go over it."""

    def load(ctx: typer.Context, value: str | None) -> str | None:
        path = Path(value or CONFIG_FILE)
        if value or path.is_file():
            ctx.default_map = {**(ctx.default_map or {}), **read_table(path, command, config)}
        return value

    option = typer.Option(
        "--config",
        help=f"Settings file; its table [{command}] is read. Default: {CONFIG_FILE}, if there.",
        metavar="FILE",
        callback=load,
        is_eager=True,
        rich_help_panel="Run",
    )
    return inspect.Parameter(
        "config", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[str | None, option]
    )


def find_explicit(ctx: typer.Context, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that a flag or the settings file gave."""
    return {name: value for name, value in settings.items() if _is_given(ctx, name)}


def _is_given(ctx: typer.Context, name: str) -> bool:
    source = ctx.get_parameter_source(name)
    return source is not None and source.name != "DEFAULT"


def read_table(path: Path, command: str, config: type) -> dict[str, object]:
    """Return the settings of a command in a TOML file.

    Raises:
        ConfigError: The file is missing, is no TOML, or holds an unknown setting or a value of the wrong type.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"--config {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is no valid TOML: {error}") from error
    if strangers := sorted(tables.keys() - set(COMMANDS)):
        raise ConfigError(
            f"{path}: no command {strangers[0]!r}; the tables are {', '.join(f'[{name}]' for name in COMMANDS)}"
        )
    table = tables.get(command, {})
    if not isinstance(table, dict):
        raise ConfigError(f"{path}: {command} = {table!r} must be a table, [{command}]")
    hints = typing.get_type_hints(config)
    settings = {name.replace("-", "_"): value for name, value in table.items()}
    for name, value in settings.items():
        if name not in hints:
            raise ConfigError(f"{path}: [{command}] has no setting {name!r}; known: {', '.join(sorted(hints))}")
        kinds = _list_kinds(hints[name])
        fits = isinstance(value, kinds) or (float in kinds and isinstance(value, int))
        fits = fits and not (isinstance(value, list) and any(not isinstance(each, str) for each in value))
        if not fits or (isinstance(value, bool) and bool not in kinds):
            hint = f', as in "{",".join(map(str, value))}"' if isinstance(value, list) and str in kinds else ""
            raise ConfigError(f"{path}: [{command}] {name} = {value!r} must be of type {kinds[0].__name__}{hint}")
    return settings


def _list_kinds(hint: Any) -> tuple[type, ...]:  # noqa: ANN401 - a type hint
    """Return the classes that a setting may have: `int` of `int | None`, `list` of `list[str] | None`."""
    parts = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    return tuple(typing.get_origin(part) or part for part in parts if part is not type(None))
