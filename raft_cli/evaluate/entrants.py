"""The models of finished reports, as `raft compare` takes them. Reads files; compares nothing."""

import itertools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from raft_cli.errors import ConfigError
from raft_cli.evaluate.earlier import Stored, read_stored
from raft_cli.evaluate.folder import RESULTS
from raft_cli.evaluate.reports.record import read_record
from raft_cli.evaluate.results import BASE, MODEL

_DECIDING = {"seed": "--seed", "retrieved": "--retrieved"}  # settings that choose the documents of a case
ASKING = {"system": "--system", "max_tokens": "--max-tokens"}  # settings that change what is said to them


@dataclass(frozen=True, slots=True)
class Entrant:
    """A model of a finished report.

    Attributes:
        name: As the person calls it; with a number behind where several runs were given one name.
        group: That name, for such runs of one recipe; else empty.
        place: Where its report lies.
        label: Its columns in `stored`: `model` or `base`.
        model: As the report names it.
        key: What is the same for the same model asked in the same way.
        clusters: By question, what is resampled with it.
        deciding: The settings that choose documents, and those that change an answer to them, by flag.
        faults: What speaks against the figures of its report.
    """

    name: str
    place: str
    label: str
    model: str
    key: tuple[str, ...]
    stored: Stored
    clusters: Mapping[str, str]
    deciding: Mapping[str, str]
    faults: tuple[str, ...]
    group: str = ""

    @property
    def conditions(self) -> list[str]:
        """Conditions under which it was asked."""
        return list(dict.fromkeys(key[1] for key in self.stored.columns if key[0] == self.label))


def read_entrants(arguments: Sequence[str]) -> list[Entrant]:
    """Read the models that a person names as NAME=REPORT or NAME=REPORT:base, after the bases of their reports.

    One NAME before several reports makes them runs of one recipe, numbered.

    Raises:
        ConfigError: A report cannot be read, two entrants have one name, or two runs of a recipe are one model.
    """
    records: dict[Path, Mapping[str, Any]] = {}
    named: list[Entrant] = []
    for argument in arguments:
        name, path, label = split_argument(argument)
        if path not in records:
            records[path] = read_record(path)
        named.append(_read_entrant(records[path], name, path, label))
    named = _number_runs(named, {name for name, _, rest in (each.partition("=") for each in arguments) if rest})
    known = {each.key for each in named}
    bases: dict[tuple[str, ...], Entrant] = {}
    for each in named:
        record = records[Path(each.place)]
        if each.label == MODEL and BASE in record["models"]:
            base = _read_entrant(record, BASE, Path(each.place), BASE)
            if base.key not in known:
                bases.setdefault(base.key, replace(base, name=f"{BASE} of {each.name}"))
    automatic = list(bases.values())
    entrants = [*([replace(automatic[0], name=BASE)] if len(automatic) == 1 else automatic), *named]
    names = [each.name for each in entrants]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigError(f"two models are called {twice[0]!r}; give each a name of its own, as in raft=reports/raft")
    return entrants


def _number_runs(entrants: Sequence[Entrant], given: Collection[str]) -> list[Entrant]:
    """Return the entrants with those that a person has given one name told apart, as runs of one recipe."""
    names = [each.name for each in entrants]
    twice = {name for name in names if names.count(name) > 1 and name in given}
    for name in twice:
        runs = [each for each in entrants if each.name == name]
        if len({each.key for each in runs}) < len(runs):
            raise ConfigError(f"{name!r} names one model twice: runs of one recipe have weights of their own")
    numbers = {name: itertools.count(1) for name in twice}
    return [
        replace(each, name=f"{each.name} {next(numbers[each.name])}", group=each.name) if each.name in twice else each
        for each in entrants
    ]


def split_argument(argument: str) -> tuple[str, Path, str]:
    """Return name, report and label of NAME=REPORT[:base]; without a name, that of the report's folder."""
    name, sign, rest = argument.partition("=")
    if not sign or Path(argument).expanduser().exists():
        name, rest = "", argument
    elif not name or not rest:
        raise ConfigError(f"{argument!r}: expected NAME=REPORT, or NAME=REPORT:base for the baseline of that report")
    label = MODEL
    if not Path(rest).expanduser().exists():
        for each in (BASE, MODEL):
            if rest.endswith(f":{each}"):
                rest, label = rest.removesuffix(f":{each}"), each
    path = Path(rest).expanduser()  # the shell does not do so behind a sign
    folder = (path.parent if path.name == RESULTS else path).resolve().name
    return name or (folder if label == MODEL else f"{folder}:{label}"), path, label


def _read_entrant(record: Mapping[str, Any], name: str, path: Path, label: str) -> Entrant:
    try:
        stored = read_stored(record["stored"], place=str(path))
    except ConfigError as error:
        # Its words are those of `--compare-to`, which reads the same part of a report.
        raise ConfigError(str(error).removeprefix("--compare-to ")) from error
    try:
        told = record["models"].get(label)
        if told is None:
            raise ConfigError(f"{path}: that evaluation had no --baseline, so there is no {path}:{label}")
        setting = record["setting"]
        clusters = dict(zip(stored.ids, map(str, record["clusters"]), strict=True))
        return Entrant(
            name=name,
            place=str(path),
            label=label,
            model=str(told["name"]),
            key=(str(told["identity"]), str(told["prompt"]), *(str(setting.get(field) or "") for field in ASKING)),
            stored=stored,
            clusters=clusters,
            deciding={flag: str(setting.get(field) or "") for field, flag in (_DECIDING | ASKING).items()},
            faults=tuple(_list_faults(record)),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ConfigError(f"{path}: damaged ({type(error).__name__}: {error}); run that evaluation again") from error


def _list_faults(record: Mapping[str, Any]) -> list[str]:
    faults = [] if record["self_check"]["passed"] else ["its self-check failed: its figures are not to be believed"]
    return faults if record["complete"] else [*faults, "over 1 % of its answers are missing"]
