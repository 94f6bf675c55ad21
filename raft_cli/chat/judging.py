"""A model of a server that judges answers: each question, references and answer once, every reply on disk.

Knows neither conditions nor models: two that say the same words get the same verdict.
"""

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from raft_cli.chat.answers import Tally
from raft_cli.chat.endpoint import Endpoint
from raft_cli.chat.journal import Journal
from raft_cli.chat.keys import Access, find_access
from raft_cli.chat.rounds import connect_endpoint, run_round
from raft_cli.chat.rubric import HOPELESS, SAMPLING, build_request, build_second, read_verdict
from raft_cli.chat.session import Session
from raft_cli.data import Reply, Sampling
from raft_cli.errors import ConfigError, Incomplete, Interrupted
from raft_cli.progress import Progress
from raft_cli.prompts import Prompts

_NAMED = re.compile(r"(?P<model>.+)@(?P<url>https?://.+)")


@dataclass(frozen=True, slots=True)
class Query:
    """An answer to be judged.

    Attributes:
        golds: Short answers of which any one is right.
        answer: The short answer alone, without what led to it.
        language: Of the question; chooses the judge's prompt.
    """

    question: str
    golds: tuple[str, ...]
    answer: str
    language: str


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What a judge said.

    Attributes:
        given: `CORRECT`, `INCORRECT` or `NOT_ATTEMPTED`; a query of which no verdict could be had is absent.
        asked: Verdicts that this run asked for; queries of the same words count once, here and below.
        replayed: Verdicts that an earlier run had asked for.
        failed: Queries without a verdict.
        name: Model and address, without secrets.
        notes: What the server does not support, for people.
    """

    given: Mapping[Query, str]
    asked: int
    replayed: int
    failed: int
    name: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What came of one query: its verdict (or nothing), the last reply, and whether an earlier run had asked."""

    verdict: str
    reply: Reply
    replayed: bool


def find_judge(judge: str, *, base_url: str, env_file: str) -> tuple[str, Access]:
    """Return model and access of a judge named `MODEL@URL`, or `MODEL` where `base_url` or the environment has the URL.

    `endpoint:` may stand before it, as for models that are examined.

    Raises:
        ConfigError: The name is not of this form.
        ChatError: There is no key.
    """
    name = judge.removeprefix("endpoint:")
    found = _NAMED.fullmatch(name)
    model, url = (found["model"], found["url"]) if found else (name, base_url)
    if not model or (not found and "@" in model):
        raise ConfigError(f"--judge {judge}: a judge is named MODEL@http://HOST:PORT/v1")
    return model, find_access(url, role="JUDGE", env_file=env_file)


def judge_queries(
    queries: Sequence[Query],
    *,
    judge: str,
    base_url: str,
    journal: Journal,
    prompts: Mapping[str, Prompts],
    env_file: str,
    timeout: float,
    concurrency: int,
    extra_body: str,
    progress: Progress,
    partial: bool = False,
    max_outage: float = 900.0,
) -> Verdicts:
    """Have answers judged; those of the same question, golds and answer by one request.

    A reply without a verdict is asked for once more with its fault named, and then the query has none. Replies are kept
    in the journal; what the server did not answer at all is asked for again next time.

    Args:
        partial: Whether to do with the verdicts there are when the server gives no more.

    Raises:
        ConfigError, ChatError: As `find_judge`, or the server cannot be asked at all.
        Incomplete: The server failed some requests too often, or the quota is used up.
        Interrupted: Ctrl-C.
    """
    model, access = find_judge(judge, base_url=base_url, env_file=env_file)
    distinct: dict[tuple[str, tuple[str, ...], str], Query] = {}
    for query in queries:
        distinct.setdefault(_words(query), query)
    endpoint = connect_endpoint(model, access, journal, timeout=timeout)
    asker = _Asker(endpoint, journal, prompts, replace(SAMPLING, extra_body=extra_body), concurrency, max_outage)
    outcomes: dict[int, _Outcome] = {}
    try:
        asyncio.run(asker.ask_all(list(distinct.values()), outcomes, progress))
    except Interrupted:
        raise
    except Incomplete as error:
        if not partial:
            raise
        progress.say(f"{error}; reporting on the verdicts that are there")
    found = {words: outcomes[at] for at, words in enumerate(distinct) if at in outcomes and outcomes[at].verdict}
    replayed = sum(outcome.replayed for outcome in found.values())
    return Verdicts(
        given={query: found[_words(query)].verdict for query in queries if _words(query) in found},
        asked=len(found) - replayed,
        replayed=replayed,
        failed=len(distinct) - len(found),
        name=asker.name,
        notes=tuple(endpoint.notes),
    )


def _words(query: Query) -> tuple[str, tuple[str, ...], str]:
    return query.question, query.golds, query.answer


@dataclass(frozen=True, slots=True)
class _Asker:
    """What all requests to a judge share."""

    endpoint: Endpoint
    journal: Journal
    prompts: Mapping[str, Prompts]
    sampling: Sampling
    concurrency: int
    max_outage: float

    @property
    def name(self) -> str:
        """Model and address."""
        return f"{self.endpoint.model} at {self.endpoint.identity.partition(' ')[0]}"

    async def ask_all(self, queries: Sequence[Query], outcomes: dict[int, _Outcome], progress: Progress) -> None:
        """Judge queries into `outcomes`, by their places.

        Raises:
            RaftError: As `judge_queries`.
        """
        with Tally(progress, f"judge {self.name}", len(queries)) as tally:

            async def ask(session: Session, at: int) -> None:
                outcomes[at] = await self._judge(session, queries[at])
                tally.count(outcomes[at].reply)

            failed = await run_round(
                ask,
                len(queries),
                endpoint=self.endpoint,
                journal=self.journal,
                concurrency=self.concurrency,
                where=f"--judge {self.name}",
                max_outage=self.max_outage,
                say=progress.say,
            )
        if failed:
            raise Incomplete(
                f"judge {self.name}: {len(failed):,} of {len(queries):,} answers have no verdict ({failed[0]}); the "
                "same command asks for these alone"
            )

    async def _judge(self, session: Session, query: Query) -> _Outcome:
        prompts = self.prompts.get(query.language) or self.prompts["en"]
        messages = build_request(query.question, query.golds, query.answer, prompts)
        reply = await session.complete(messages, self.sampling)
        verdict, fault = read_verdict(reply)
        replayed = reply.replayed
        if fault and reply.finish not in HOPELESS:
            again, sampling = build_second(messages, self.sampling, reply, fault, prompts)
            reply = await session.complete(again, sampling)
            verdict, _ = read_verdict(reply)
            replayed = replayed and reply.replayed
        return _Outcome(verdict, reply, replayed)
