"""Chat templates without transformers: untrusted jinja, rendered in a sandbox."""

import datetime
import json
from collections.abc import Mapping, Sequence
from typing import Any

from raft_cli.data import Message
from raft_cli.student import Render


def compile_template(template: str, tokens: Mapping[str, str]) -> Render:
    """Compile a chat template as transformers does: sandboxed, with the few functions that templates may call.

    Args:
        tokens: Texts of `bos_token`, `eos_token` and the like, which templates refer to.

    Raises:
        jinja2.TemplateSyntaxError: The template uses what only transformers knows.
    """
    from jinja2 import nodes
    from jinja2.exceptions import TemplateError
    from jinja2.ext import Extension, loopcontrols
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Generation(Extension):
        tags = {"generation"}  # noqa: RUF012 - as jinja declares it

        def parse(self, parser: Any) -> Any:  # noqa: ANN401 - jinja's types
            line = next(parser.stream).lineno
            return nodes.Scope(parser.parse_statements(("name:endgeneration",), drop_needle=True), lineno=line)

    def refuse(message: str) -> None:
        raise TemplateError(message)

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols]
    )
    environment.filters["tojson"] = lambda value, **options: json.dumps(value, ensure_ascii=False, **options)
    environment.globals.update(raise_exception=refuse, strftime_now=lambda form: datetime.datetime.now().strftime(form))
    compiled = environment.from_string(template)

    def render(messages: Sequence[Message], opened: bool) -> str:
        turns = [{"role": message.role, "content": message.content} for message in messages]
        return compiled.render(messages=turns, add_generation_prompt=opened, tools=None, documents=None, **tokens)

    return render
