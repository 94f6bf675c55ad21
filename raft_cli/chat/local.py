"""A transformers model in this process as a teacher: one prompt at a time, greedy unless a temperature is given."""

from pathlib import Path
from typing import Any

from raft_cli.chat.endpoint import Received
from raft_cli.cot import strip_thinking
from raft_cli.data import Message, Reply, Sampling
from raft_cli.errors import ChatError, MissingExtra, ModelError
from raft_cli.model import load_student

_DEFAULT_LENGTH = 1024


class LocalModel:
    """A model folder loaded with transformers, on the GPU when there is one."""

    def __init__(self, folder: str) -> None:
        try:
            import torch
            from transformers import AutoModelForCausalLM
        except ImportError as error:
            raise MissingExtra("--teacher local:PATH needs torch: pip install 'raft-cli[train]'") from error
        if not (Path(folder) / "config.json").is_file():
            raise ChatError(f"--teacher local:{folder}: no model there (a folder with config.json is expected)")
        try:
            self._student = load_student(Path(folder), exact=True)
            model: Any = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True, dtype="auto")
        except (OSError, ValueError, ModelError) as error:
            raise ChatError(f"--teacher local:{folder}: cannot be loaded: {error}") from error
        self._torch: Any = torch
        self._model = model.to("cuda" if torch.cuda.is_available() else "cpu").eval()
        self._stops = _find_stops(self._model, self._student.end_id)
        self.identity = f"local {Path(folder).resolve().name} {_fingerprint(Path(folder))}"

    async def ask(self, messages: tuple[Message, ...], sampling: Sampling) -> Received:
        """Generate one reply."""
        torch = self._torch
        ids = self._encode(messages)
        limit = min(
            sampling.max_tokens or _DEFAULT_LENGTH,
            getattr(self._model.config, "max_position_embeddings", 1 << 30) - len(ids),
        )
        if limit <= 0:
            return _receive(f"a prompt of {len(ids)} tokens leaves no room", "context_length", len(ids), 0)
        prompt = torch.tensor([ids], device=self._model.device)
        warm = bool(sampling.temperature)
        torch.manual_seed(sampling.attempt)
        with torch.inference_mode():
            output = self._model.generate(
                prompt,
                attention_mask=torch.ones_like(prompt),
                max_new_tokens=limit,
                do_sample=warm,
                temperature=sampling.temperature if warm else None,
                top_p=None,
                top_k=None,
                pad_token_id=self._student.pad_id,
                eos_token_id=self._stops,
            )
        said = output[0][len(ids) :]
        text = strip_thinking(self._student.decode(said.tolist()))
        return _receive(text, "length" if len(said) >= limit else "stop", len(ids), len(said))

    def _encode(self, messages: tuple[Message, ...]) -> list[int]:
        try:
            return self._student.encode_prompt(messages)
        except ModelError as error:
            raise ChatError(str(error)) from error


def _find_stops(model: Any, end: int) -> list[int]:  # noqa: ANN401 - untyped library
    """Return the tokens that end a reply: those the model names, and the end of the assistant's turn."""
    named = model.generation_config.eos_token_id
    return sorted({end, *(named if isinstance(named, list) else [] if named is None else [named])})


def _receive(text: str, finish: str, prompt: int, completion: int) -> Received:
    finish = "empty" if finish == "stop" and not text.strip() else finish
    return Received(Reply(text, finish, prompt, completion), text.encode())


def _fingerprint(folder: Path) -> str:
    """Return a short hash of the weights, so that other weights are another teacher."""
    import xxhash

    digest = xxhash.xxh64()
    for path in sorted(folder.glob("*.safetensors")):
        digest.update(f"{path.name} {path.stat().st_size}".encode())
        with path.open("rb") as file:
            while block := file.read(1 << 24):
                digest.update(block)
    return digest.hexdigest()
