"""The forms that structured replies are asked for in, by the names that `Sampling.schema` knows."""

from typing import Any


def _object(**properties: dict[str, Any]) -> dict[str, Any]:
    """Return an object in which every property is required and no other is allowed, as strict servers want it."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


_TEXT = {"type": "string"}

SCHEMAS: dict[str, dict[str, Any]] = {
    "questions": _object(questions={"type": "array", "items": _object(question=_TEXT, kind=_TEXT)}),
    "verdict": _object(supported={"type": "boolean"}, reason=_TEXT),
    # Written in this order: a verdict that follows its reason rather than the other way round.
    "grade": _object(reason=_TEXT, verdict={"type": "string", "enum": ["CORRECT", "INCORRECT", "NOT_ATTEMPTED"]}),
}
