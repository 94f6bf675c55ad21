"""What a run would ask and spend, from the prompts that it would send. Sends nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from raft_cli.config.generate import GenerateConfig
from raft_cli.corpus.tokens import TokenCounter
from raft_cli.data import Reject
from raft_cli.generate.intake import Intake
from raft_cli.generate.plan import Task
from raft_cli.prompts import Prompts

_QUESTION_TOKENS = 40  # a question in JSON, as teachers write them
_ANSWER_TOKENS = 220  # a chain of thought of a few sentences with its quotes


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a run would ask.

    Attributes:
        requests: Without retries.
        cost: Dollars, None without prices.
        rejects: What would be set aside of the corpus.
        journaled: Whether the folder holds replies already, so that less will be asked.
    """

    files: int
    documents: int
    chunks: int
    chunk_tokens: int
    counter: str
    questions: int
    requests: int
    prompt_tokens: int
    completion_tokens: int
    cost: float | None
    rejects: tuple[Reject, ...]
    journaled: bool


def estimate_run(
    intake: Intake,
    tasks: Sequence[Task],
    config: GenerateConfig,
    prompts: Mapping[str, Prompts],
    counter: TokenCounter,
    *,
    journaled: bool,
) -> Estimate:
    """Count the requests and tokens of `tasks`, replies at the usual length."""
    frames = {
        (language, name): counter.count(own.texts[name])
        for language, own in prompts.items()
        for name in ("ask", "ask_pair", "answer", "answer_given", "judge")
    }
    asks = answers = asked = 0
    for task in tasks:
        language = task.chunks[0].language if task.chunks[0].language in prompts else "en"
        document = sum(chunk.tokens for chunk in task.chunks)
        if not task.given:
            asks += 1
            asked += document + frames[language, "ask" if len(task.chunks) == 1 else "ask_pair"]
        answers += task.size
        asked += task.size * (document + frames[language, "answer_given" if task.given else "answer"])
        if config.judge:
            asked += task.size * (document + _ANSWER_TOKENS + frames[language, "judge"])
    said = sum(task.size * (0 if task.given else _QUESTION_TOKENS) + task.size * _ANSWER_TOKENS for task in tasks)
    cost = None
    if config.price_in is not None and config.price_out is not None:
        cost = (asked * config.price_in + said * config.price_out) / 1e6
    return Estimate(
        files=intake.files,
        documents=intake.documents,
        chunks=len(intake.chunks),
        chunk_tokens=intake.tokens,
        counter=counter.name,
        questions=answers,
        requests=asks + answers * (2 if config.judge else 1),
        prompt_tokens=asked,
        completion_tokens=said,
        cost=cost,
        rejects=tuple(intake.rejects),
        journaled=journaled,
    )
