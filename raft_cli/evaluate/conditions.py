"""The names of the conditions under which each question is asked, and the presets of them. Pure."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from raft_cli.errors import ConfigError

_QUICK = ("closed", "oracle", "oracle+4", "distract")
_STANDARD = (
    "closed", "oracle", "oracle+1", "oracle+2", "oracle+4", "oracle+8", "distract",
    "retrieved@3", "retrieved@5", "retrieved@10",
)  # fmt: skip
_FULL = (*_STANDARD, "pos@0", "pos@0.25", "pos@0.5", "pos@0.75", "pos@1", "counter")
PRESETS: Mapping[str, tuple[str, ...]] = {"quick": _QUICK, "standard": _STANDARD, "full": _FULL}
POSITIONED = 8  # distractors beside the oracle when it is moved

_NAME = re.compile(
    r"(?P<kind>closed|distract|counter|oracle)(?:(?<=oracle)\+(?P<k>[1-9]\d{0,3}))?"
    r"|(?P<retrieved>retrieved)@(?P<top>[1-9]\d{0,3})|(?P<pos>pos)@(?P<place>0|1|0\.\d{1,4})"
)


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition by its parts.

    Attributes:
        kind: `closed`, `oracle`, `distract`, `retrieved`, `pos` or `counter`.
        size: Distractors beside the oracle, or passages retrieved; 0 where neither is told.
        place: Where among the distractors the oracle stands, 0 to 1; None where it is drawn.
    """

    name: str
    kind: str
    size: int = 0
    place: float | None = None


def parse_condition(name: str) -> Condition:
    """Read the name of a condition.

    Raises:
        ConfigError: There is none of that name.
    """
    found = _NAME.fullmatch(name)
    if not found:
        raise ConfigError(
            f"no condition {name!r}; there are closed, oracle, oracle+K, distract, retrieved@K, pos@R (R from 0 to 1) "
            f"and counter, or the presets {', '.join(PRESETS)}"
        )
    if found["pos"]:
        return Condition(f"pos@{float(found['place']):g}", "pos", POSITIONED, float(found["place"]))
    if found["retrieved"]:
        return Condition(name, "retrieved", int(found["top"]))
    return Condition(name, found["kind"], int(found["k"] or 0))


def parse_conditions(names: Iterable[str]) -> list[Condition]:
    """Read names of conditions and presets, each condition once.

    Raises:
        ConfigError: There is none of one of these names.
    """
    spread = [each for name in names for each in PRESETS.get(name, (name,))]
    return list({condition.name: condition for condition in map(parse_condition, spread)}.values())
