"""What a setting is: default, help, range. Flags, the settings file and the README are made from it."""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from raft_cli.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Option:
    """What a flag needs to know of a setting.

    Attributes:
        several: Whether it is a list of choices, separated by commas.
        paid: Whether a change of it makes other requests (a folder then needs `--update`).
    """

    help: str
    panel: str
    choices: tuple[str, ...] = ()
    several: bool = False
    low: float | None = None
    high: float | None = None
    paid: bool = False
    metavar: str = ""


def option(default: Any, help: str, panel: str, **more: Any) -> Any:  # noqa: ANN401 - as dataclasses.field
    """Declare a setting with its default, help and range."""
    return field(default=default, metadata={"option": Option(help=help, panel=panel, **more)})


def options_of(config: type) -> Iterator[tuple[str, Any, Option]]:
    """Yield name, default and option of each setting of a configuration class."""
    for setting in dataclasses.fields(config):
        yield setting.name, setting.default, setting.metadata["option"]


def check_ranges(config: object) -> None:
    """Check choices and ranges of every setting of a configuration.

    Raises:
        ConfigError: A value is none of the choices, or outside its range.
    """
    for name, _, known in options_of(type(config)):
        value = getattr(config, name)
        flag = "--" + name.replace("_", "-")
        if value is None or value == "":
            continue
        for item in value.split(",") if known.several else [value]:
            if known.choices and item not in known.choices:
                raise ConfigError(f"{flag} {value}: unknown value {item!r}; choose from {', '.join(known.choices)}")
        if known.low is not None and not value >= known.low:
            raise ConfigError(f"{flag} {value}: must be at least {known.low:g}")
        if known.high is not None and not value <= known.high:
            raise ConfigError(f"{flag} {value}: must be at most {known.high:g}")
