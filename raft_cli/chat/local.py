"""A transformers model in this process as a teacher: one prompt at a time, greedy unless a temperature is given."""

from pathlib import Path
from typing import Any

from raft_cli.chat.batches import continue_together
from raft_cli.chat.endings import Endings, find_ends
from raft_cli.chat.endpoint import Received
from raft_cli.chat.holder import choose_device, choose_type, load_weights
from raft_cli.cot import strip_thinking
from raft_cli.data import Message, Reply, Sampling
from raft_cli.errors import ChatError, ModelError
from raft_cli.model import load_student, read_context
from raft_cli.weights import hash_weights

_DEFAULT_LENGTH = 1024


class LocalModel:
    """A model folder loaded with transformers, on the GPU when there is one."""

    def __init__(self, folder: str) -> None:
        path, device = Path(folder), choose_device("auto")
        if not (path / "config.json").is_file():
            raise ChatError(f"--teacher local:{folder}: no model there (a folder with config.json is expected)")
        try:
            self._student = load_student(path, exact=True)
            dtype = choose_type("auto", device)
            self._model = load_weights(path, device=device, dtype=dtype, trust_remote_code=False)
            self.identity = f"local {path.resolve().name} {hash_weights(path)}"
        except ModelError as error:
            raise ChatError(f"--teacher local:{folder}: cannot be loaded: {error}") from error
        self._endings = Endings(self._student, find_ends(self._model, self._student), ())
        self._context = read_context(self._model.config.get_text_config().to_dict()) or 1 << 30

    async def ask(self, messages: tuple[Message, ...], sampling: Sampling) -> Received:
        """Generate one reply."""
        try:
            ids = self._student.encode_prompt(messages)
        except ModelError as error:
            raise ChatError(str(error)) from error
        limit = min(sampling.max_tokens or _DEFAULT_LENGTH, self._context - len(ids))
        if limit <= 0:
            return _receive(Reply(f"a prompt of {len(ids)} tokens leaves no room", "context_length", len(ids), 0))
        said: list[int] = []
        continue_together(
            self._model,
            {0: ids},
            limit=limit,
            is_reached=self._endings.is_reached,
            ended=lambda place, tokens: said.extend(tokens),
            choose=_draw(sampling, self._model.device),
        )
        reply = self._endings.read(said, prompt=len(ids))
        text = strip_thinking(reply.text)
        finish = "empty" if reply.finish == "stop" and not text.strip() else reply.finish
        return _receive(Reply(text, finish, reply.prompt_tokens, reply.completion_tokens))


def _draw(sampling: Sampling, device: Any) -> Any:  # noqa: ANN401 - torch's types
    """Return how a token is drawn from scores: by the temperature and the attempt, or the likeliest."""
    import torch

    warmth, chance = sampling.temperature, torch.Generator(device).manual_seed(sampling.attempt)
    if not warmth:
        return lambda scores: scores.argmax(-1)
    return lambda scores: torch.multinomial((scores.float() / warmth).softmax(-1), 1, generator=chance)[:, 0]


def _receive(reply: Reply) -> Received:
    return Received(reply, reply.text.encode())
