"""Catalogues of APIs as documents: one for each entry of Gorilla's lists, one for each operation of OpenAPI."""

import json
from collections.abc import Iterator
from typing import Any

from raft_cli.corpus.readers.result import clean_text, fence_code, make_document
from raft_cli.data import Document

_Object = dict[str, Any]
_ENTRY_FIELDS = ("api_call", "api_name", "api_provider", "api_data")
_METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
_DEEPEST_SCHEMA = 2
_LONGEST_REFERENCE = 8
_DEEPEST_ARRAY = 3
_MOST_PROPERTIES = 200


def is_catalogue_entry(row: _Object) -> bool:
    """Tell whether `row` describes an API the way Gorilla's lists do."""
    return "api_call" in row and any(isinstance(row.get(field), str | dict) for field in _ENTRY_FIELDS[1:])


def render_entry(row: _Object) -> tuple[str, str]:
    """Return title and Markdown of an API: a line for each field, code in fences."""
    inner = row.get("api_data")
    fields: _Object = inner | row if isinstance(inner, dict) else row
    title = str(fields.get("api_name") or fields.get("name") or fields["api_call"])
    lines = [f"# {title}"]
    for name, value in fields.items():
        if name in ("code", "api_data") or value in (None, "", [], {}):
            continue
        if name == "example_code":
            lines.append(f"{name}:\n\n{fence_code(_write_value(value))}")
        else:
            lines.append(f"{name}: {_write_value(value)}")
    return title, "\n\n".join(lines)


def _write_value(value: object) -> str:
    return value.strip() if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def is_openapi(value: object) -> bool:
    """Tell whether `value` is an OpenAPI (or Swagger) description."""
    return (
        isinstance(value, dict) and ("openapi" in value or "swagger" in value) and isinstance(value.get("paths"), dict)
    )


def read_openapi(api: _Object, source: str) -> list[Document]:
    """Make a document of each operation of an API."""
    documents = []
    for path, item in api["paths"].items():
        if not isinstance(item, dict):
            continue
        for method in _METHODS:
            operation = item.get(method)
            if isinstance(operation, dict):
                call = f"{method.upper()} {path}"
                text = "\n\n".join(_write_operation(api, item, operation, call))
                title = str(operation.get("summary") or operation.get("operationId") or call)
                documents.append(make_document(f"{source}#{call}", clean_text(text), title=title))
    return documents or [make_document(source, clean_text(json.dumps(api, ensure_ascii=False, indent=2)), plain=True)]


def _write_operation(api: _Object, item: _Object, operation: _Object, call: str) -> Iterator[str]:
    yield f"# {call}"
    for field in ("summary", "description"):
        if text := str(operation.get(field) or "").strip():
            yield text
    if name := operation.get("operationId"):
        yield f"Operation: {name}"
    if operation.get("deprecated"):
        yield "Deprecated."
    given = [*_as_list(item.get("parameters")), *_as_list(operation.get("parameters"))]
    if parameters := [_write_parameter(api, _follow(api, parameter)) for parameter in given]:
        yield "## Parameters\n\n" + "\n".join(parameters)
    if body := list(_write_content(api, _follow(api, operation.get("requestBody")))):
        yield "## Request body\n\n" + "\n".join(body)
    if responses := list(_write_responses(api, operation.get("responses"))):
        yield "## Responses\n\n" + "\n".join(responses)


def _as_list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _follow(api: _Object, value: object) -> _Object:
    """Return the object that `value` is or refers to inside this description; nothing where it leads nowhere."""
    for _ in range(_LONGEST_REFERENCE):
        if not isinstance(value, dict):
            return {}
        reference = value.get("$ref")
        if not isinstance(reference, str):
            return value
        value = api
        for part in reference.removeprefix("#/").split("/"):
            value = value.get(part.replace("~1", "/").replace("~0", "~")) if isinstance(value, dict) else None
    return {}


def _describe(words: list[str], described: _Object) -> str:
    text = " ".join(str(described.get("description") or "").split())
    return f"({', '.join(filter(None, words))}){': ' + text if text else ''}"


def _write_parameter(api: _Object, parameter: _Object) -> str:
    kind = _name_type(api, parameter.get("schema") or parameter)
    need = "required" if parameter.get("required") else "optional"
    return f"- `{parameter.get('name')}` {_describe([str(parameter.get('in') or ''), kind, need], parameter)}"


def _name_type(api: _Object, schema: object, depth: int = 0) -> str:
    """Name a type in a few words: `array of string`, `string out of a, b`."""
    known = _follow(api, schema)
    kind = known.get("type") or ("object" if "properties" in known else "")
    name = " or ".join(map(str, kind)) if isinstance(kind, list) else str(kind)
    if name == "array" and depth < _DEEPEST_ARRAY and (inner := _name_type(api, known.get("items"), depth + 1)):
        name = f"array of {inner}"
    if choices := _as_list(known.get("enum")):
        name = f"{name} out of {', '.join(map(str, choices))}".strip()
    return name


def _write_content(api: _Object, described: _Object) -> Iterator[str]:
    """Yield the description of a body and, for each media type, its fields."""
    if text := str(described.get("description") or "").strip():
        yield text
    content = described.get("content")
    for media, value in content.items() if isinstance(content, dict) else ():
        yield f"- {media}"
        yield from _write_schema(api, value.get("schema") if isinstance(value, dict) else None, 1)
    yield from _write_schema(api, described.get("schema"), 1)


def _write_schema(api: _Object, schema: object, depth: int) -> Iterator[str]:
    """Yield a line for each property, nested ones below it, as deep as is of use."""
    known = _follow(api, schema)
    if known.get("type") == "array":
        known = _follow(api, known.get("items"))
    for part in _as_list(known.get("allOf")):
        yield from _write_schema(api, part, depth) if depth < _DEEPEST_SCHEMA else ()
    properties = known.get("properties")
    for name, value in list(properties.items())[:_MOST_PROPERTIES] if isinstance(properties, dict) else ():
        need = "required" if name in _as_list(known.get("required")) else ""
        yield f"{'  ' * depth}- `{name}` {_describe([_name_type(api, value), need], _follow(api, value))}"
        if depth < _DEEPEST_SCHEMA:
            yield from _write_schema(api, value, depth + 1)


def _write_responses(api: _Object, responses: object) -> Iterator[str]:
    for status, value in responses.items() if isinstance(responses, dict) else ():
        response = _follow(api, value)
        text = " ".join(str(response.get("description") or "").split())
        yield f"- {status}: {text}".rstrip(": ")
        yield from list(_write_content(api, {key: response[key] for key in response if key != "description"}))
