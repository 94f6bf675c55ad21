import json

import pytest

from raft_cli.corpus.readers.records import read_json, read_jsonl
from raft_cli.corpus.readers.result import Reading, Unreadable


def lines(*rows: object) -> Reading:
    text = "\n".join(row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows)
    return read_jsonl(text.encode(), "a/docs.jsonl")


def parsed(value: object) -> Reading:
    return read_json(json.dumps(value).encode(), "a/data.json")


def test_each_line_is_a_document() -> None:
    documents, problems = lines(
        {"text": "one\u2028two", "title": "T"}, "", {"content": "three", "id": 7}, {"body": "x"}
    )
    assert not problems
    assert [(d.source, d.title, d.text) for d in documents] == [
        ("a/docs.jsonl#1", "T", "one\ntwo"),
        ("a/docs.jsonl#3", "7", "three"),
        ("a/docs.jsonl#4", "docs 4", "x"),
    ]


def test_bad_lines_are_named_and_the_others_kept() -> None:
    documents, problems = lines({"text": "good"}, "{broken", {"text": " "}, [1], {"text": 5}, "[" * 100_000)
    assert [document.text for document in documents] == ["good"]
    assert {problem.reason for problem in problems} == {"bad-record"}
    assert [problem.detail.partition(":")[0] for problem in problems] == [f"line {n}" for n in (2, 3, 4, 5, 6)]


def test_nothing_but_bad_lines() -> None:
    with pytest.raises(Unreadable, match="line 1: not JSON"):
        lines("{broken", "{too")


def test_chunks_that_came_cut() -> None:
    documents, problems = lines(
        {"document_id": "d1", "position": 0, "text": " first\r\n", "title": "Manual"},
        {"document_id": "d1", "position": 1, "text": "第二"},
        {"document_id": "d2", "chunk_id": "x", "text": "third"},
        {"source": "s", "text": "no chunk"},
        {"source": "s", "text": "none either"},
    )
    assert not problems
    first, second, *others = documents
    assert (first.source, first.title, first.text) == ("a/docs.jsonl#1", "Manual", "first\n\n第二")
    assert [first.text[start:end] for start, end in first.cuts] == ["first", "第二"]
    assert (second.title, second.cuts) == ("d2", ((0, 5),))
    assert [(other.source, other.cuts) for other in others] == [("a/docs.jsonl#4", ()), ("a/docs.jsonl#5", ())]


def test_lone_surrogates_do_not_reach_the_text() -> None:
    [document], _ = read_jsonl(b'{"text": "a \\ud800 b \\u0000", "title": "\\udfff"}', "a.jsonl")
    document.text.encode()
    document.title.encode()


def test_json_records() -> None:
    assert [d.source for d in parsed({"text": "# Head\n\none"})[0]] == ["a/data.json"]
    assert parsed({"text": "# Head\n\none"})[0][0].title == "Head"
    documents, problems = parsed([{"page_content": "one"}, {"other": 1}, {"text": "two"}])
    assert [d.source for d in documents] == ["a/data.json#1", "a/data.json#3"]
    assert [problem.detail for problem in problems] == ["record 2: has no text"]


def test_any_other_json_is_indented_text() -> None:
    [document], _ = read_json('{"限值": [1, 2]}'.encode(), "a.json")
    assert document.plain
    assert document.text == '{\n  "限值": [\n    1,\n    2\n  ]\n}'


def test_json_that_is_jsonl() -> None:
    documents, _ = read_json(b'{"text": "one"}\n{"text": "two"}\n', "a.json")
    assert [document.text for document in documents] == ["one", "two"]


def test_broken_json() -> None:
    with pytest.raises(Unreadable, match="damaged: not JSON"):
        read_json(b'{"text": ', "a.json")


def test_gorilla_catalogue() -> None:
    entry = {
        "domain": "Video",
        "api_name": "slowfast",
        "api_provider": "PyTorch",
        "api_call": "torch.hub.load(model='slowfast')",
        "api_arguments": {"model": "slowfast"},
        "example_code": ["import torch", "# load"],
        "performance": {},
    }
    row = {"code": "###Instruction: x", "api_call": entry["api_call"], "provider": "PyTorch", "api_data": entry}
    (plain, nested), problems = lines(entry, row)
    assert not problems
    assert plain.title == nested.title == "slowfast"
    assert plain.text.startswith("# slowfast\n\ndomain: Video\n\n")
    assert "api_call: torch.hub.load(model='slowfast')" in plain.text
    assert "example_code:\n\n```" in plain.text
    assert "Instruction" not in nested.text


API = {
    "openapi": "3.0.0",
    "paths": {
        "/gateways/{id}": {
            "parameters": [{"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}],
            "get": {"summary": "Read a gateway", "responses": {"200": {"$ref": "#/components/responses/Found"}}},
            "put": {
                "operationId": "setGateway",
                "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Gateway"}}}},
                "responses": {"204": {"description": "Done"}},
            },
        }
    },
    "components": {
        "schemas": {
            "Gateway": {
                "type": "object",
                "required": ["model"],
                "properties": {
                    "model": {"type": "string", "enum": ["K100", "K200"], "description": "Its model."},
                    "parents": {"type": "array", "items": {"$ref": "#/components/schemas/Gateway"}},
                },
            },
            "Loop": {"$ref": "#/components/schemas/Loop"},
        },
        "responses": {
            "Found": {
                "description": "The gateway",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Loop"}}},
            }
        },
    },
}


def test_openapi_operation_by_operation() -> None:
    get, put = parsed(API)[0]
    assert (get.source, get.title) == ("a/data.json#GET /gateways/{id}", "Read a gateway")
    assert get.text == (
        "# GET /gateways/{id}\n\nRead a gateway\n\n## Parameters\n\n- `id` (path, string, required)\n\n"
        "## Responses\n\n- 200: The gateway\n- application/json"
    )
    assert "- `model` (string out of K100, K200, required): Its model." in put.text
    assert "- `parents` (array of object)" in put.text
    assert put.title == "setGateway"


def test_openapi_without_operations_is_text() -> None:
    [document], _ = parsed({"openapi": "3.0.0", "paths": {"/a": None}})
    assert document.plain
