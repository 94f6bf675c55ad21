"""Settings of `raft eval`: every default once, every range checked once."""

import json
from dataclasses import dataclass

from raft_cli.config.option import check_ranges, option
from raft_cli.errors import ConfigError

WAYS = ("plain", "instructed", "worked")
QUICK_QUESTIONS = 200

_MODELS = "Models"
_QUESTIONS = "Questions and conditions"
_ASKING = "Asking"
_JUDGE = "Judge"
_GATES = "Statistics and gates"
_RUN = "Run"


@dataclass(frozen=True)
class EvalConfig:
    """Settings of `raft eval`."""

    model: str = option(
        "",
        "Model to examine: a folder of `raft train`, a model folder or id, or endpoint:MODEL@URL.",
        _MODELS,
        metavar="MODEL",
    )
    baseline: str = option("", "Model to compare it with, named in the same way.", _MODELS, metavar="MODEL")
    base: str = option("", "Base of adapters, where it is not found by itself.", _MODELS, metavar="ID_OR_PATH")
    prompt: str = option(
        "plain",
        "How the model is asked: plain (as in training), instructed (the format explained as well) or worked (and two "
        "worked examples).",
        _MODELS,
        choices=WAYS,
    )
    baseline_prompt: str = option(
        "auto",
        "The same for the baseline. auto: whichever serves it best on a few other questions.",
        _MODELS,
        choices=("auto", *WAYS),
    )
    system: str | None = option(
        None, "System turn of every prompt. Default: that of the training run.", _MODELS, metavar="TEXT"
    )
    trust_remote_code: bool = option(False, "Run Python code that comes with a model.", _MODELS)

    conditions: str = option(
        "quick",
        "quick (closed, oracle, oracle+4, distract), standard, full, or names: closed, oracle, oracle+K, distract, "
        "retrieved@K, pos@R, counter.",
        _QUESTIONS,
        metavar="NAME,…",
    )
    split: str = option("test", "Split of the dataset that is asked.", _QUESTIONS, metavar="NAME")
    limit: int | None = option(
        None, f"Most questions, 0 for all. Default: {QUICK_QUESTIONS} with quick alone, else all.", _QUESTIONS, low=0
    )
    keep_similar: bool = option(
        False, "Keep questions that training asked in nearly the same words of the same passage.", _QUESTIONS
    )
    retrieved: str = option(
        "", "TREC run file for retrieved@K, in place of the lexical search.", _QUESTIONS, metavar="FILE"
    )
    on_overflow: str = option(
        "error",
        "What to do with a prompt that does not fit a model: stop, or leave its question out for all models.",
        _QUESTIONS,
        choices=("error", "skip"),
    )

    max_tokens: int | None = option(
        None, "Most tokens of an answer. Default: half more than 99 % of the reference answers have.", _ASKING, low=1
    )
    device: str = option("auto", "Where models run: auto, cpu, cuda, cuda:1, mps.", _ASKING, metavar="NAME")
    precision: str = option(
        "auto",
        "Arithmetic. auto: bf16 where the hardware has it, else fp16 on a GPU, fp32 on a CPU.",
        _ASKING,
        choices=("auto", "bf16", "fp16", "fp32"),
    )
    batch_tokens: int = option(0, "Most tokens of a batch, prompts and answers; 0: what memory allows.", _ASKING, low=0)
    continuous: str = option(
        "auto",
        "Continuous batching of transformers. auto: on a GPU, for models of full attention.",
        _ASKING,
        choices=("auto", "on", "off"),
    )
    latency_probe: int = option(
        0, "Also ask this many prompts one at a time, and tell how long an answer takes.", _ASKING, low=0
    )
    concurrency: int = option(32, "Most requests to an endpoint at once.", _ASKING, low=1, high=4096)
    timeout: float = option(300.0, "Seconds to wait for an endpoint's reply.", _ASKING, low=1)
    max_outage: float = option(900.0, "Seconds without any answer of an endpoint before the run stops.", _ASKING, low=1)
    extra_body: str = option("", "Further fields of each request to an endpoint.", _ASKING, metavar="JSON")
    env_file: str = option(".env", "File with keys, besides the environment.", _ASKING, metavar="FILE")

    judge: str = option(
        "", "Model that judges answers in other words than the gold's: MODEL@URL.", _JUDGE, metavar="MODEL@URL"
    )
    judge_labels: str = option(
        "", "CSV or JSONL of verdicts by people, to measure the judge against.", _JUDGE, metavar="FILE"
    )
    gate_judge: bool = option(False, "Let gates on the judge's figure fail the run; else they warn.", _JUDGE)

    refusal_phrase: list[str] | None = option(  # noqa: RUF009 - as every option
        None,
        "Further way to begin an answer that declines, beside those known in ten languages; may be given several "
        "times.",
        _GATES,
        metavar="TEXT",
    )
    fail_under: list[str] | None = option(  # noqa: RUF009 - as every option
        None,
        "Gate, as model@oracle+4.grounded_acc>=0.7 or delta@oracle+4.acc>=-0.02 (tests the interval's lower end); may "
        "be given several times.",
        _GATES,
        metavar="EXPR",
    )
    absent_policy: str = option(
        "recall",
        "Without an oracle (distract): recall from memory, or abstain; decides which way refusal_rate may be gated.",
        _GATES,
        choices=("recall", "abstain"),
    )
    compare_to: str = option(
        "", "Earlier report (folder or results.json) to compare the model with.", _GATES, metavar="REPORT"
    )
    force: bool = option(False, "Compare, or write, although data or models are others.", _GATES)
    cluster: str = option(
        "chunk", "What is resampled for intervals: passages or whole documents.", _GATES, choices=("chunk", "document")
    )
    seed: int = option(42, "Seed of distractors, positions, sampling and intervals.", _GATES)

    answers: str = option(
        "",
        "File that keeps the answers; reports that share one ask the baseline once. Default: in the report's folder.",
        _RUN,
        metavar="FILE",
    )
    partial: bool = option(False, "Report on the answers that are there, when a model could not give all.", _RUN)

    def __post_init__(self) -> None:
        check_ranges(self)
        if not self.model:
            raise ConfigError("--model is missing: a folder of raft train, a model, or endpoint:MODEL@URL")
        if self.model == self.baseline:
            raise ConfigError("--baseline is the same as --model; name the untuned model")
        if not all(map(str.strip, self.refusal_phrase or ())):
            raise ConfigError("--refusal-phrase is empty: every answer would begin with it")
        if self.judge_labels and not self.judge:
            raise ConfigError("--judge-labels measures a judge: give --judge as well")
        try:
            fits = isinstance(json.loads(self.extra_body or "{}"), dict)
        except ValueError:
            fits = False
        if not fits:
            raise ConfigError("--extra-body must be a JSON object, such as '{\"top_k\": 20}'")

    @property
    def names(self) -> tuple[str, ...]:
        """Conditions and presets as they were given."""
        return tuple(name.strip() for name in self.conditions.split(",") if name.strip())

    @property
    def questions(self) -> int:
        """Most questions, 0 for all."""
        if self.limit is None:
            return QUICK_QUESTIONS if self.names == ("quick",) else 0
        return self.limit
