"""Chat templates render as transformers renders them, in a sandbox."""

import datetime

import jinja2
import pytest

from raft_cli.data import Message
from raft_cli.template import compile_template

TURNS = [Message("system", "Be <brief>."), Message("user", "How 多久?"), Message("assistant", "So.")]
TEMPLATES = [
    "{{ bos_token }}{% for message in messages %}{{ message['content'] | trim }}\n{% endfor %}",
    "{%- for message in messages %}\n    {{- message | tojson }}\n{%- endfor %}",
    "{{ messages | tojson(indent=2) }}",
    "{% for m in messages %}{% if loop.first %}{% continue %}{% endif %}{{ m.role }}{% break %}{% endfor %}",
    "{% set ns = namespace(n=0) %}{% for m in messages %}{% set ns.n = ns.n + 1 %}{% endfor %}{{ ns.n }}",
    "{% for m in messages %}{% if m.role == 'assistant' %}{% generation %}{{ m.content }}{% endgeneration %}"
    "{% endif %}{% endfor %}",
    "{% macro show(m) %}[{{ m.content }}]{% endmacro %}{% for m in messages %}{{ show(m) }}{% endfor %}",
    "{% if tools %}tools{% endif %}{% if documents is not none %}documents{% endif %}"
    "{% if messages[0].tool_calls is defined and messages[0].tool_calls %}calls{% endif %}"
    "{{ dict(a=1).a }}{{ messages[0].content.split('<')[0] }}{% if add_generation_prompt %}go{% endif %}",
]


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.parametrize("opened", [False, True])
def test_it_renders_as_transformers_does(template: str, opened: bool) -> None:
    render_jinja_template = pytest.importorskip("transformers.utils.chat_template_utils").render_jinja_template
    turns = [{"role": turn.role, "content": turn.content} for turn in TURNS]
    rendered, _ = render_jinja_template([turns], chat_template=template, add_generation_prompt=opened, bos_token="<s>")
    assert compile_template(template, {"bos_token": "<s>"})(TURNS, opened) == rendered[0]


def test_a_template_may_refuse() -> None:
    render = compile_template("{{ raise_exception('no system turn') }}", {})
    with pytest.raises(jinja2.TemplateError, match="no system turn"):
        render(TURNS, True)


def test_a_template_may_write_the_date() -> None:
    today = datetime.datetime.now().strftime("%Y")
    assert compile_template("{{ strftime_now('%Y') }}", {})(TURNS, True) == today


@pytest.mark.parametrize("template", ["{% if %}", "{{ messages | no_such_filter }}", "{% unknown %}"])
def test_what_cannot_be_compiled_is_said_at_once(template: str) -> None:
    with pytest.raises(jinja2.TemplateSyntaxError):
        compile_template(template, {})


@pytest.mark.parametrize("template", ["{{ messages.__class__.__mro__ }}", "{{ messages.append(1) }}"])
def test_a_template_gets_no_further_than_its_messages(template: str) -> None:
    with pytest.raises(jinja2.exceptions.SecurityError):
        compile_template(template, {})(TURNS, True)
