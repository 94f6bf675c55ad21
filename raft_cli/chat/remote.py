"""A model behind an OpenAI-compatible server that is examined: many requests at once, each answer on disk."""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import replace

from raft_cli.chat.answers import Answers, Conversation, Keep, Tally, sample_greedily
from raft_cli.chat.journal import hash_request
from raft_cli.chat.keys import Access, find_access
from raft_cli.chat.rounds import connect_endpoint, run_round
from raft_cli.chat.session import Session
from raft_cli.data import Reply, Sampling
from raft_cli.errors import ConfigError, Incomplete
from raft_cli.progress import Progress

_PREFIX = "endpoint:"
_NAMED = re.compile(r"endpoint:(?P<model>.+)@(?P<url>https?://.+)")


class EndpointStudent:
    """A model of a server; `Examined`. What its weights are only the server knows."""

    context = 0

    def __init__(
        self,
        name: str,
        model: str,
        access: Access,
        answers: Answers,
        *,
        timeout: float,
        concurrency: int,
        max_outage: float,
        extra_body: str,
    ) -> None:
        self.name = name
        self.identity = f"{access.address} {model}"
        self.notes: list[str] = []
        self._model = model
        self._access = access
        self._answers = answers
        self._timeout = timeout
        self._concurrency = concurrency
        self._max_outage = max_outage
        self._extra_body = extra_body

    @property
    def replayed(self) -> int:
        """Answers that came from the journal."""
        return self._answers.replayed

    def measure(self, prompts: Sequence[Conversation]) -> None:
        """Return None: the server counts."""

    def answer(
        self, prompts: Sequence[Conversation], *, max_tokens: int, stop: Sequence[str], keep: Keep, progress: Progress
    ) -> None:
        """Answer prompts, as `Examined.answer`.

        Raises:
            ChatError: The server refuses the key, does not know the model, or cannot be reached.
            Incomplete: It failed some prompts too often, or the quota is used up.
            Interrupted: Ctrl-C.
        """

        def settle(place: int, reply: Reply) -> None:
            keep(place, replace(reply, finish="stop") if reply.finish == "empty" else reply)

        sampling = sample_greedily(max_tokens, stop, extra_body=self._extra_body)
        keys = [hash_request(self.identity, each, sampling) for each in prompts]
        missing = self._answers.replay(keys, settle)
        if missing:
            places = list(missing.values())
            asyncio.run(self._ask_all([prompts[each[0]] for each in places], places, sampling, settle, progress))

    async def _ask_all(
        self,
        prompts: Sequence[Conversation],
        places: Sequence[Sequence[int]],
        sampling: Sampling,
        keep: Keep,
        progress: Progress,
    ) -> None:
        journal = self._answers.journal
        endpoint = connect_endpoint(self._model, self._access, journal, timeout=self._timeout)
        with Tally(progress, self.name, len(prompts)) as tally:

            async def ask(session: Session, at: int) -> None:
                reply = await session.complete(prompts[at], sampling)
                tally.count(reply)
                for place in places[at]:
                    keep(place, reply)

            try:
                failed = await run_round(
                    ask,
                    len(prompts),
                    endpoint=endpoint,
                    journal=journal,
                    concurrency=self._concurrency,
                    where=self.name,
                    max_outage=self._max_outage,
                    say=progress.say,
                )
            finally:
                self.notes = endpoint.notes
        if failed:
            raise Incomplete(
                f"{self.name}: {len(failed):,} of {len(prompts):,} prompts have no answer ({failed[0]}); the same "
                "command asks for these alone"
            )


def is_endpoint(name: str) -> bool:
    """Tell whether a name means a model of a server."""
    return name.startswith(_PREFIX)


def parse_endpoint(name: str) -> tuple[str, str]:
    """Return model and address of `endpoint:MODEL@URL`; without an address, where the environment has it, an empty one.

    Raises:
        ConfigError: The name is not of this form.
    """
    found = _NAMED.fullmatch(name)
    model, url = (found["model"], found["url"]) if found else (name.removeprefix(_PREFIX), "")
    if not model or (not found and "@" in model):
        raise ConfigError(f"{name}: a model of a server is named endpoint:MODEL@http://HOST:PORT/v1")
    return model, url


def open_endpoint(
    name: str,
    *,
    answers: Answers,
    env_file: str,
    timeout: float,
    concurrency: int,
    max_outage: float,
    extra_body: str,
) -> EndpointStudent:
    """Return the model of this name.

    Raises:
        ConfigError: As `parse_endpoint`.
        ChatError: There is no key.
    """
    model, url = parse_endpoint(name)
    return EndpointStudent(
        name,
        model,
        find_access(url, role="EVAL", env_file=env_file),
        answers,
        timeout=timeout,
        concurrency=concurrency,
        max_outage=max_outage,
        extra_body=extra_body,
    )
