"""Messages to token ids by a tokenizer's own template: the one rendering that training and asking share."""

from collections.abc import Sequence
from typing import Any

from raft_cli.data import Message
from raft_cli.errors import ChatError


def encode_messages(tokenizer: Any, messages: Sequence[Message]) -> list[int]:  # noqa: ANN401 - untyped library
    """Return the prompt's token ids, with the opening of the assistant's turn.

    A tokenizer without a chat template (a base model) gets the contents as plain paragraphs, one blank line apart.

    Raises:
        ChatError: The template cannot render these roles.
    """
    if not getattr(tokenizer, "chat_template", None):
        plain = "\n\n".join(message.content for message in messages) + "\n\n"
        return list(tokenizer.encode(plain))
    turns = [{"role": message.role, "content": message.content} for message in messages]
    try:
        ids = tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=True, return_dict=False)
    except Exception as error:  # templates raise whatever jinja or their author chose
        raise ChatError(f"the chat template of this model cannot render the prompt: {error}") from error
    return list(ids)
