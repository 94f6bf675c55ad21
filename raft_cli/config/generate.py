"""Settings of `raft generate`: every default once, every range checked once. Knows neither flags nor files."""

import json
from dataclasses import dataclass

from raft_cli.config.option import check_ranges, option
from raft_cli.errors import ConfigError

KINDS = ("factoid", "reasoning", "procedural", "multi-hop")
FORMATS = ("messages", "prompt-completion", "completion", "chat", "sharegpt", "alpaca", "eval")

_TEACHER = "Teacher"
_PACE = "Pace and spending"
_CHUNK = "Documents and chunks"
_ASK = "Questions and answers"
_MIX = "Rows (free to change on a finished folder)"
_RUN = "Run"


@dataclass(frozen=True)
class GenerateConfig:
    """Settings of `raft generate`."""

    teacher: str = option(
        "",
        "Model that writes questions and answers: a model name of the endpoint, `extractive` (embedded, for "
        "trying the tool: no key, no network) or `local:PATH` (a transformers model in this process).",
        _TEACHER,
        paid=True,
        metavar="MODEL",
    )
    base_url: str = option(
        "",
        "Address of an OpenAI-compatible server, such as http://localhost:8000/v1. Default: OPENAI_BASE_URL, "
        "else OpenAI.",
        _TEACHER,
        paid=True,
        metavar="URL",
    )
    judge: str = option(
        "",
        "Model that confirms that the quotes support the answer. Default: a lexical test.",
        _TEACHER,
        paid=True,
        metavar="MODEL",
    )
    temperature: float | None = option(
        None,
        "Sampling temperature of the teacher. Default: the server's.",
        _TEACHER,
        low=0,
        high=2,
        paid=True,
    )
    max_tokens: int = option(
        2048,
        "Longest reply asked of the teacher, in tokens (doubled once when a reply is cut).",
        _TEACHER,
        low=16,
        paid=True,
    )
    extra_body: str = option(
        "", "Further fields of each request, as a JSON object.", _TEACHER, paid=True, metavar="JSON"
    )
    env_file: str = option(".env", "File with keys; variables already set win.", _TEACHER, metavar="FILE")
    timeout: float = option(600.0, "Seconds after which one request is given up and tried again.", _TEACHER, low=0.1)

    concurrency: int = option(32, "Most requests in flight.", _PACE, low=1, high=4096)
    rpm: int | None = option(None, "Most requests a minute. Default: what the server allows.", _PACE, low=1)
    tpm: int | None = option(None, "Most tokens a minute. Default: what the server allows.", _PACE, low=1)
    max_requests: int | None = option(None, "Stop cleanly before this many requests are exceeded.", _PACE, low=1)
    max_cost: float | None = option(
        None, "Stop cleanly before this many dollars are exceeded; needs prices.", _PACE, low=0
    )
    price_in: float | None = option(None, "Dollars per million prompt tokens.", _PACE, low=0)
    price_out: float | None = option(None, "Dollars per million completion tokens.", _PACE, low=0)
    max_outage: float = option(900.0, "Seconds without any answer from the server before the run stops.", _PACE, low=1)

    chunk_size: int = option(512, "Most tokens in a chunk.", _CHUNK, low=16, paid=True)
    overlap: int = option(0, "Tokens that a chunk repeats of the one before it.", _CHUNK, low=0, paid=True)
    tokenizer: str = option(
        "o200k_base",
        "What counts tokens: a model folder or tokenizer.json (best: the student's own), or a tiktoken name.",
        _CHUNK,
        paid=True,
        metavar="NAME_OR_PATH",
    )
    workers: int | None = option(None, "Processes that convert files. Default: one a processor.", _CHUNK, low=1)
    file_timeout: float = option(120.0, "Seconds that one file may take to convert.", _CHUNK, low=1)
    file_memory: int = option(2048, "Megabytes that the conversion of one file may use.", _CHUNK, low=256)
    file_size: int = option(200, "Megabytes above which a file is set aside unread.", _CHUNK, low=1)
    strict: bool = option(False, "Stop when a file cannot be read, instead of setting it aside.", _CHUNK)

    questions: int = option(3, "Questions asked for per chunk.", _ASK, low=1, high=50, paid=True)
    kinds: str = option(
        "factoid,reasoning,procedural",
        "Kinds of questions, in turn; multi-hop (over two chunks of a document) costs one more request per chunk.",
        _ASK,
        choices=KINDS,
        several=True,
        paid=True,
        metavar="KIND,…",
    )
    questions_file: str = option(
        "",
        "Your own questions (CSV or JSONL: question, optional answer, optional source): the teacher writes only "
        "what is missing.",
        _ASK,
        paid=True,
        metavar="FILE",
    )
    prompts: str = option("", "Folder whose prompt files replace ours (see `raft init`).", _ASK, metavar="DIR")

    distractors: int = option(4, "Distractor documents in each row.", _MIX, low=0, high=200)
    vary_distractors: str = option("", "Draw the number of distractors per row, such as 2:6.", _MIX, metavar="LOW:HIGH")
    distractor_source: str = option(
        "mixed",
        "random, lexical (hard: the passages most like question and answer) or mixed (half of each).",
        _MIX,
        choices=("random", "lexical", "mixed"),
    )
    oracle_share: float = option(
        0.8, "Share of rows that contain the oracle document (P of the paper), exact.", _MIX, low=0, high=1
    )
    absent_target: str = option(
        "no-quotes",
        "What the student says when the oracle is absent: no-quotes (the answer from memory), answer (the paper's: "
        "quotes and all) or refuse.",
        _MIX,
        choices=("no-quotes", "answer", "refuse"),
    )
    both_contexts: bool = option(False, "Write each question with and without its oracle.", _MIX)
    split_by: str = option(
        "question",
        "What is kept whole on one side of the split.",
        _MIX,
        choices=("question", "chunk", "document"),
    )
    test_share: float = option(0.1, "Share of the test split.", _MIX, low=0, high=0.9)
    validation_share: float = option(0.1, "Share of the validation split.", _MIX, low=0, high=0.9)
    seed: int = option(42, "Seed of distractors, order, shares and splits; reaches no request.", _MIX)
    format: str = option(
        "",
        f"Formats to write besides the native rows: {', '.join(FORMATS)}.",
        _MIX,
        choices=FORMATS,
        several=True,
        metavar="FORMAT,…",
    )

    limit: int | None = option(
        None, "Pilot: ask about this many chunks only, chosen by seed; a full run reuses it.", _RUN, low=1
    )
    dry_run: bool = option(False, "Show documents, chunks, requests, tokens and cost; send nothing.", _RUN)
    update: bool = option(False, "Go on in a folder made with other settings; replies that still fit are reused.", _RUN)
    retry_rejected: bool = option(False, "Ask anew what was rejected.", _RUN)

    def __post_init__(self) -> None:
        check_ranges(self)
        self._check_extra_body()
        if not self.kinds:
            raise ConfigError(f"--kinds is empty; choose from {', '.join(KINDS)}")
        if self.overlap >= self.chunk_size // 2:
            raise ConfigError(f"--overlap {self.overlap}: must be less than half of --chunk-size {self.chunk_size}")
        if self.test_share + self.validation_share >= 1:
            raise ConfigError(
                "--test-share and --validation-share leave nothing to train on: together they must stay below 1"
            )
        if (self.price_in is None) != (self.price_out is None):
            raise ConfigError("--price-in and --price-out are needed together")
        low, high = self.distractor_range
        if low < 0 or high < low:
            raise ConfigError(f"--vary-distractors {self.vary_distractors}: give LOW:HIGH with 0 <= LOW <= HIGH")

    def _check_extra_body(self) -> None:
        if not self.extra_body:
            return
        try:
            parsed = json.loads(self.extra_body)
        except ValueError as error:
            raise ConfigError(f"--extra-body is not JSON: {error}") from error
        if not isinstance(parsed, dict):
            raise ConfigError("--extra-body must be a JSON object, such as '{\"top_k\": 20}'")

    @property
    def distractor_range(self) -> tuple[int, int]:
        """Fewest and most distractors of a row."""
        if not self.vary_distractors:
            return self.distractors, self.distractors
        low, _, high = self.vary_distractors.partition(":")
        if not (low.isdecimal() and high.isdecimal()):
            raise ConfigError(f"--vary-distractors {self.vary_distractors}: give two numbers, such as 2:6")
        return int(low), int(high)
