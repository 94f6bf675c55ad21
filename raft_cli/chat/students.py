"""Models that are examined: they take conversations, give answers, and keep each on disk. One face for all of them."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from raft_cli.chat.answers import Answers, Conversation, Keep, Tally, sample_greedily
from raft_cli.chat.batches import Ended, Ids, answer_prompts, choose_budget
from raft_cli.chat.continuous import answer_continuously, attends_fully
from raft_cli.chat.endings import Endings, find_ends
from raft_cli.chat.holder import Holder
from raft_cli.chat.journal import Journal, hash_request
from raft_cli.chat.remote import EndpointStudent, is_endpoint, open_endpoint
from raft_cli.chat.sources import Source, find_sources
from raft_cli.data import make_id
from raft_cli.errors import ModelError
from raft_cli.model import load_student
from raft_cli.progress import Progress


class Examined(Protocol):
    """A model that is examined.

    Attributes:
        name: As the person gave it.
        identity: Names weights, template and precision, or address and model: other answers have another one.
        context: Longest prompt and answer together in tokens; 0 when it is not known.
        notes: What a person should be told.
    """

    name: str
    identity: str
    context: int

    @property
    def notes(self) -> list[str]: ...  # noqa: D102

    @property
    def replayed(self) -> int: ...  # noqa: D102

    def measure(self, prompts: Sequence[Conversation]) -> list[int] | None:
        """Return the tokens of each prompt, None when only the server can tell."""
        ...

    def answer(
        self, prompts: Sequence[Conversation], *, max_tokens: int, stop: Sequence[str], keep: Keep, progress: Progress
    ) -> None:
        """Answer prompts greedily, in any order.

        Args:
            max_tokens: Most tokens of an answer.
            stop: Strings before which an answer ends.
            keep: Takes place and answer, once for every prompt; it is in the journal then. Its `finish` is `stop` or
                `length`, or, from a server, why there is no whole answer.

        Raises:
            Incomplete: Some prompts have no answer; the same call asks for those alone.
            ChatError: The server cannot be asked.
            ModelError: The model cannot be asked; nothing is ever cut to fit.
        """
        ...


class LocalStudent:
    """A transformers model in this process; `Examined`."""

    def __init__(
        self, source: Source, holder: Holder, answers: Answers, *, budget: int, continuous: bool | None
    ) -> None:
        self.source = source
        self.name = source.name
        self.context = source.base.context
        self._holder = holder
        self._answers = answers
        self._budget = budget
        self._continuous = continuous
        self._student = load_student(source.folder, exact=True)
        self.identity = (
            f"weights {source.weights} adapter {source.adapter_hash or 'none'} "
            f"template {make_id(self._student.template)} {holder.dtype}"
        )

    @property
    def notes(self) -> list[str]:
        """What a person should be told."""
        return ["its chat template writes today's date into every prompt"] if self._student.dated else []

    @property
    def replayed(self) -> int:
        """Answers that came from the journal."""
        return self._answers.replayed

    def encode(self, messages: Conversation) -> list[int]:
        """Return a prompt's token ids, those of training."""
        return self._student.encode_prompt(messages)

    def measure(self, prompts: Sequence[Conversation]) -> list[int]:
        """Return the tokens of each prompt."""
        return [len(ids) for ids in self._student.encode_prompts(prompts)]

    def answer(
        self, prompts: Sequence[Conversation], *, max_tokens: int, stop: Sequence[str], keep: Keep, progress: Progress
    ) -> None:
        """Answer prompts, as `Examined.answer`.

        Raises:
            ModelError: The model cannot be loaded, a prompt leaves no room for an answer, or memory does not suffice.
        """
        sampling = sample_greedily(max_tokens, stop)
        places = self._answers.replay([hash_request(self.identity, each, sampling) for each in prompts], keep)
        if not places:
            return
        keys = list(places)
        asked = dict(enumerate(self._student.encode_prompts([prompts[places[key][0]] for key in keys])))
        self._check_room(asked, max_tokens)
        with self._holder.use(self.source) as model, Tally(progress, self.name, len(asked)) as tally:
            self._check_vocabulary(model, asked)
            endings = Endings(self._student, find_ends(model, self._student), stop)

            def ended(number: int, ids: list[int]) -> None:
                reply = endings.read(ids, prompt=len(asked[number]))
                self._answers.put(keys[number], reply)
                tally.count(reply)
                for place in places[keys[number]]:
                    keep(place, reply)

            self._generate(model, asked, max_tokens, endings, ended)

    def _generate(
        self,
        model: Any,  # noqa: ANN401 - untyped library
        asked: Mapping[int, Ids],
        limit: int,
        endings: Endings,
        ended: Ended,
    ) -> None:
        continuous = self._continuous
        if continuous is None:
            continuous = self._holder.device.startswith("cuda") and attends_fully(model)
        if continuous:
            pad = self._student.pad_id
            answer_continuously(model, asked, limit=limit, pad=pad, endings=endings, ended=ended)
            return
        budget = self._budget or choose_budget(model)
        answer_prompts(model, asked, limit=limit, budget=budget, is_reached=endings.is_reached, ended=ended)

    def _check_room(self, asked: Mapping[int, Ids], limit: int) -> None:
        longest = max(map(len, asked.values()))
        if self.context and longest + limit > self.context:
            raise ModelError(
                f"{self.name}: a prompt of {longest:,} tokens leaves no room for an answer of {limit:,} in a context "
                f"of {self.context:,}; nothing is cut: leave such prompts out for all models, or lower --max-tokens"
            )

    def _check_vocabulary(self, model: Any, asked: Mapping[int, Ids]) -> None:  # noqa: ANN401
        rows, highest = model.get_input_embeddings().num_embeddings, max(max(ids) for ids in asked.values())
        if highest >= rows:
            raise ModelError(
                f"{self.source.folder}: its tokenizer gives token {highest}, but the model has {rows} embeddings; they "
                "do not belong together"
            )


def open_students(
    names: Sequence[str],
    *,
    journal: Journal,
    device: str,
    dtype: str,
    base: str,
    batch_tokens: int,
    continuous: bool | None,
    trust_remote_code: bool,
    env_file: str,
    timeout: float,
    concurrency: int,
    extra_body: str = "",
    max_outage: float = 900.0,
) -> list[LocalStudent | EndpointStudent]:
    """Return the models of these names, in their order; no weights are loaded and nothing is sent yet.

    A name is a run folder, a model folder, an id of the Hub, or `endpoint:MODEL@URL`. Models in this process take
    turns in memory; an adapter and its base share one set of weights.

    Args:
        device: `auto`, or as torch names it.
        dtype: `auto`, `bf16`, `fp16` or `fp32`.
        base: The base of adapters, as a folder or id; empty to find it.
        batch_tokens: Most tokens of a batch, prompts and answers together; 0 to choose it.
        continuous: Whether to use the continuous batching of transformers; None: on a GPU, where the model allows it.
        extra_body: Further fields of each request to an endpoint, a JSON object in text form.
        max_outage: Seconds without any answer of an endpoint after which it is given up.

    Raises:
        ModelError: A model is not there, is broken, or does not fit the run.
        ConfigError: There is no such device, or an endpoint is not named in full.
        MissingExtra: torch is needed and not there.
        ChatError: An endpoint's key is missing.
    """
    local = [name for name in names if not is_endpoint(name)]
    students: dict[str, LocalStudent | EndpointStudent] = {
        name: open_endpoint(
            name,
            answers=Answers(journal),
            env_file=env_file,
            timeout=timeout,
            concurrency=concurrency,
            extra_body=extra_body,
            max_outage=max_outage,
        )
        for name in names
        if is_endpoint(name)
    }
    if local:
        holder = Holder(device=device, dtype=dtype, trust_remote_code=trust_remote_code)
        for source in find_sources(local, base=base):
            students[source.name] = LocalStudent(
                source, holder, Answers(journal), budget=batch_tokens, continuous=continuous
            )
    return [students[name] for name in names]
