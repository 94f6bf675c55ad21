"""What travels between the stages of training: rows, their token ids, the recipe that a worker follows."""

from collections.abc import Sequence
from dataclasses import dataclass

from raft_cli.data import Message, Role


@dataclass(frozen=True, slots=True)
class Row:
    """A row to train on, whatever format it came in.

    Attributes:
        id: The row's own id, else `FILE:LINE`.
        place: `FILE, line N`, for messages.
        messages: The prompt as the student is asked: a system turn perhaps, earlier turns perhaps, the user's last.
        answer: What the student is to say.
        roles: One for each `<DOCUMENT>` of the last user turn; empty when it is not known which is the oracle, so that
            none may be removed.
        oracle: Positions of the oracle documents; empty when they are absent or not known.
        group: Rows of one group (those of one oracle) stay on one side of a split.
        present: Whether the oracle stands among the documents.
        native: Whether it is a row of ours, whose quotes are known to stand in its documents.
    """

    id: str
    place: str
    messages: tuple[Message, ...]
    answer: str
    roles: tuple[Role, ...]
    oracle: tuple[int, ...]
    group: str
    present: bool
    native: bool


@dataclass(frozen=True, slots=True)
class Encoded:
    """A row as token ids: loss on `completion` only, whose last token ends the turn.

    Attributes:
        dropped: Distractors removed so that it fits.
        documents: Documents that are left.
        oracle: Positions of the oracle among them.
    """

    id: str
    prompt: Sequence[int]
    completion: Sequence[int]
    present: bool
    dropped: int
    documents: int
    oracle: tuple[int, ...]

    @property
    def length(self) -> int:
        """Number of tokens."""
        return len(self.prompt) + len(self.completion)


@dataclass(frozen=True, slots=True)
class Overflow:
    """A row that is not trained on, and why (`too-long`, `control-token`, `empty-answer`)."""

    id: str
    place: str
    reason: str
    detail: str
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything a worker needs to train, resolved: no `auto` is left.

    Attributes:
        base: What the adapter remembers as its base; `base_path` is where its files lie.
        precision: `bf16`, `fp16` or `fp32`: of the arithmetic.
        attention: `flash_attention_2`, `varlen`, `sdpa` or `eager`.
        packing: Whether a micro-batch is one sequence of whole rows that do not see each other, or padded rows of
            like length.
        micro_tokens: Most tokens of a micro-batch on one device.
        accumulation: Micro-batches of each device in a step.
        steps: Optimizer steps in all.
        warmup: Share of the steps, or their number from 1 on.
        eval_every: Steps between evaluations; 0 when there is nothing to evaluate on.
        patience: Evaluations without improvement after which training stops; 0 never.
        keep: Checkpoints that are kept besides the best.
        optimizer: Name of the optimizer as transformers knows it.
    """

    base: str
    base_path: str
    method: str
    rank: int
    alpha: int
    dropout: float
    targets: tuple[str, ...]
    dora: bool
    rslora: bool
    precision: str
    attention: str
    packing: bool
    checkpointing: bool
    micro_tokens: int
    accumulation: int
    epochs: float
    steps: int
    learning_rate: float
    schedule: str
    warmup: float
    weight_decay: float
    max_grad_norm: float
    optimizer: str
    eval_every: int
    patience: int
    keep: int
    processes: int
    nodes: int
    strategy: str
    device: str
    seed: int
    report_to: tuple[str, ...]
    pad_id: int
    pad_token: str
    end_id: int
    trust_remote_code: bool
