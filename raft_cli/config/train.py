"""Settings of `raft train`: every default once, every range checked once, and the presets that change several."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from raft_cli.config.option import check_ranges, option
from raft_cli.errors import ConfigError

METHODS = ("lora", "qlora", "full")
TRACKERS = ("tensorboard", "wandb", "mlflow")

# Chosen by --preset; a flag or the settings file goes over it.
PRESETS: MappingProxyType[str, MappingProxyType[str, object]] = MappingProxyType(
    {
        name: MappingProxyType(settings)
        for name, settings in {
            "smoke": {  # a tiny model of random weights on any CPU: adapters on such a base would learn nothing
                "method": "full",
                "learning_rate": 5e-3,
                "batch": 8,
                "max_steps": 40,
                "eval_rows": 16,
                "device": "cpu",
            },
            "qlora-16g": {"method": "qlora", "checkpointing": "on", "micro_tokens": 4096},
            "lora-24g": {"method": "lora", "checkpointing": "on", "micro_tokens": 6144},
            "lora-80g": {"method": "lora", "checkpointing": "off", "micro_tokens": 8192},
            "lora-h200": {"method": "lora", "checkpointing": "off", "micro_tokens": 16384},
            "full-h200": {"method": "full", "checkpointing": "on", "micro_tokens": 8192},
            "full-fsdp": {"method": "full", "checkpointing": "on", "strategy": "fsdp", "micro_tokens": 8192},
            "paper": {"method": "full", "learning_rate": 2e-5, "epochs": 1.0, "batch": 64},
        }.items()
    }
)

_MODEL = "Model and method"
_ROWS = "Rows"
_STEPS = "Optimisation"
_MEMORY = "Memory and speed"
_WATCH = "Evaluation and checkpoints"
_MACHINES = "Machines"
_RUN = "Run"


@dataclass(frozen=True)
class TrainConfig:
    """Settings of `raft train`."""

    model: str = option("", "Model to tune: a folder, or an id of the Hugging Face Hub.", _MODEL, metavar="ID_OR_PATH")
    revision: str = option("", "Branch, tag or commit of a model of the Hub.", _MODEL, metavar="NAME")
    method: str = option(
        "lora",
        "lora (adapters on all linear layers), qlora (the same over a 4-bit base) or full (every weight).",
        _MODEL,
        choices=METHODS,
    )
    rank: int = option(32, "Rank of the adapters.", _MODEL, low=1, high=1024)
    alpha: int | None = option(None, "Scale of the adapters. Default: twice the rank.", _MODEL, low=1)
    dropout: float = option(0.0, "Dropout inside the adapters.", _MODEL, low=0, high=0.9)
    targets: str = option(
        "all-linear", "Layers that get adapters: all-linear, or names such as q_proj,v_proj.", _MODEL, metavar="NAME,…"
    )
    dora: bool = option(False, "Weight-decomposed adapters (DoRA): slower, at times better at low rank.", _MODEL)
    rslora: bool = option(False, "Rank-stabilised scaling (rsLoRA): alpha over the square root of the rank.", _MODEL)
    precision: str = option(
        "auto",
        "Arithmetic. auto: bf16 where the hardware has it, else fp16 on a GPU, fp32 on a CPU.",
        _MODEL,
        choices=("auto", "bf16", "fp16", "fp32"),
    )
    trust_remote_code: bool = option(False, "Run Python code that comes with the model.", _MODEL)

    max_tokens: int | None = option(
        None,
        "Longest row in tokens; longer ones lose distractors. Default: the model's context.",
        _ROWS,
        low=16,
    )
    max_lost: float = option(
        0.01, "Share of rows that may be set aside (they do not fit) before the run stops.", _ROWS, low=0, high=1
    )
    system: str = option("", "System turn in front of every prompt; asking must send the same.", _ROWS, metavar="TEXT")
    validation_share: float = option(
        0.02, "Share held out, whole oracles at a time, when DATA has no validation split.", _ROWS, low=0, high=0.5
    )
    eval_rows: int = option(500, "Most validation rows of each evaluation.", _ROWS, low=1)

    learning_rate: float | None = option(
        None, "Peak learning rate. Default: 1e-4 for adapters, 1e-5 for full.", _STEPS, low=0
    )
    epochs: float | None = option(
        None, "Passes over the rows. Default: 1 from 10,000 rows on, 2 from 3,000, else 3.", _STEPS, low=0.001
    )
    max_steps: int | None = option(None, "Stop after this many steps, though the epochs are not done.", _STEPS, low=1)
    batch: int | None = option(
        None, "Rows in a step, over all devices. Default: 32 for adapters, 64 for full.", _STEPS, low=1
    )
    schedule: str = option(
        "cosine",
        "Course of the learning rate (cosine ends at a tenth).",
        _STEPS,
        choices=("cosine", "linear", "constant"),
    )
    warmup: float = option(0.03, "Share of the steps that warm up.", _STEPS, low=0, high=0.5)
    weight_decay: float = option(0.0, "Weight decay.", _STEPS, low=0, high=1)
    max_grad_norm: float = option(1.0, "Longest gradient; longer ones are scaled down.", _STEPS, low=0)
    seed: int = option(42, "Seed of adapters, order and held-out rows.", _STEPS)

    packing: str = option(
        "auto",
        "Fill micro-batches with whole rows that do not see each other. auto: where attention is fast at it.",
        _MEMORY,
        choices=("auto", "on", "off"),
    )
    attention: str = option(
        "auto",
        "Attention code. auto: flash-attn if installed, else torch's own variable-length kernel, else sdpa.",
        _MEMORY,
        choices=("auto", "flash", "varlen", "sdpa", "eager"),
    )
    checkpointing: str = option(
        "auto",
        "Recompute activations to save memory (a third to a half slower). auto: only if the plan needs it.",
        _MEMORY,
        choices=("auto", "on", "off"),
    )
    micro_tokens: int | None = option(
        None, "Most tokens of a micro-batch on one device. Default: what the memory plan allows.", _MEMORY, low=16
    )

    evals: int | None = option(
        None,
        "Evaluations, with a checkpoint each, per epoch. Default: 4, fewer where they would take over a fifth of the "
        "time.",
        _WATCH,
        low=1,
    )
    patience: int = option(3, "Stop after this many evaluations without improvement; 0: never.", _WATCH, low=0)
    keep: int = option(3, "Checkpoints to keep besides the best.", _WATCH, low=1)
    report_to: str = option(
        "",
        f"Also send figures to {', '.join(TRACKERS)}; metrics.jsonl is always written.",
        _WATCH,
        choices=TRACKERS,
        several=True,
        metavar="NAME,…",
    )

    device: str = option("auto", "Where to train.", _MACHINES, choices=("auto", "cpu", "cuda"))
    processes: int | None = option(
        None, "Processes on this machine, one a device. Default: one for each GPU.", _MACHINES, low=1
    )
    strategy: str = option(
        "ddp",
        "With several devices: ddp (a whole model on each), fsdp or deepspeed (the model spread over them).",
        _MACHINES,
        choices=("ddp", "fsdp", "deepspeed"),
    )
    nodes: int = option(1, "Machines; run the same command on each.", _MACHINES, low=1)
    node_rank: int = option(0, "Number of this machine, from 0.", _MACHINES, low=0)
    rendezvous: str = option("", "Where the machines meet: address of machine 0.", _MACHINES, metavar="HOST:PORT")

    preset: str = option("", "Settings that belong together.", _RUN, choices=tuple(PRESETS))
    dry_run: bool = option(False, "Show rows, lengths, steps, memory and hours; train nothing.", _RUN)

    def __post_init__(self) -> None:
        check_ranges(self)
        if not self.model:
            raise ConfigError("--model is missing: a folder, or an id of the Hub such as Qwen/Qwen2.5-7B-Instruct")
        if self.method == "full" and (self.dora or self.rslora):
            raise ConfigError("--dora and --rslora are ways to build adapters; --method full has none")
        if not self.targets.strip(" ,"):
            raise ConfigError("--targets is empty: all-linear, or names such as q_proj,v_proj")
        if self.learning_rate == 0:
            raise ConfigError("--learning-rate 0: would learn nothing")
        if self.nodes > 1 and not self.rendezvous:
            raise ConfigError("--nodes needs --rendezvous HOST:PORT, the address of machine 0")
        if self.node_rank >= self.nodes:
            raise ConfigError(f"--node-rank {self.node_rank}: the machines are numbered 0 to {self.nodes - 1}")
        if self.method == "qlora" and self.strategy != "ddp":
            raise ConfigError(f"--strategy {self.strategy} does not shard a 4-bit base; use ddp, or --method lora")
        if self.packing == "on" and self.attention == "eager":
            raise ConfigError(
                "--packing on with --attention eager keeps the whole attention matrix; use sdpa or varlen"
            )


def apply_preset(explicit: Mapping[str, Any]) -> TrainConfig:
    """Build the configuration from what was set by flag or file, over what its preset sets, over the defaults.

    Raises:
        ConfigError: A value, or the preset, is unknown.
    """
    preset = PRESETS.get(str(explicit.get("preset") or ""), MappingProxyType({}))
    return TrainConfig(**{**preset, **explicit})
