"""Estimate what a training step needs of one device's memory, part by part, in bytes. Knows no torch.

Activations per token were measured (bytes that autograd saves, transformers 5.23, peft 0.21, torch 2.13); the rest is
arithmetic. The whole was set against published figures, see tests/train/test_memory.py.
"""

from dataclasses import dataclass, replace

from raft_cli.train.planning.shape import Shape, count_adapters
from raft_cli.train.records import Recipe

NF4 = 0.52  # bytes a parameter: 4 bits, and an 8-bit scale for each 64 (double quantisation)
CUDA_CONTEXT = 1.5e9  # context, libraries' kernels, workspaces
CPU_CONTEXT = 0.6e9  # what torch, transformers and trl occupy once imported
TILE = 4096 * 16384 * 4  # the fused head's working tile of logits, float32
PARTS = {
    "weights": "Weights",
    "copies": "Working copies",
    "adapters": "Adapters",
    "gradients": "Gradients",
    "optimizer": "Optimizer",
    "activations": "Activations",
    "logits": "Head",
    "overhead": "Overhead",
}
LOGIT = 12  # bytes a logit costs without the fused head: 16 bits, float32 copy, gradients of both


@dataclass(frozen=True, slots=True)
class Load:
    """What decides on memory.

    Attributes:
        precision: As in `Recipe`; `optimizer` too.
        adapters: Parameters of the adapters; 0 with `full`.
        longest: Tokens of the longest row.
        world: Devices that take part.
        fused: Whether the loss is taken without building logits.
    """

    method: str
    precision: str
    optimizer: str
    attention: str
    packing: bool
    checkpointing: bool
    micro_tokens: int
    longest: int
    adapters: int
    rank: int
    dora: bool
    dropout: bool
    strategy: str
    world: int
    cuda: bool
    fused: bool = True

    @property
    def master(self) -> bool:
        """Whether all weights are trained in float32, with 16-bit arithmetic on copies of them."""
        return self.method == "full" and self.precision != "fp32" and not is_pure(self.optimizer)

    @property
    def shards(self) -> int:
        """Devices that weights, gradients and optimizer are spread over."""
        return 1 if self.strategy == "ddp" else self.world


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes on one device, at the worst moment of a step.

    Attributes:
        weights: The model, with a 4-bit base the quantised one.
        copies: 16-bit copies that autocast keeps of float32 weights, a 4-bit matrix in 16 bits, or the layers that
            sharding gathers.
        logits: What the head needs.
        overhead: Context and kernels, attention masks.
    """

    weights: int
    copies: int
    adapters: int
    gradients: int
    optimizer: int
    activations: int
    logits: int
    overhead: int
    total: int


def is_pure(optimizer: str) -> bool:
    """Tell whether an optimizer stands for weights that are trained in 16 bits, without a float32 master."""
    return "8bit" in optimizer


def describe_load(recipe: Recipe, shape: Shape, longest: int) -> Load:
    """Return what decides on the memory of a recipe."""
    adapters = count_adapters(shape, recipe.rank, recipe.targets, dora=recipe.dora)
    return Load(
        method=recipe.method,
        precision=recipe.precision,
        optimizer=recipe.optimizer,
        attention=recipe.attention,
        packing=recipe.packing,
        checkpointing=recipe.checkpointing,
        micro_tokens=recipe.micro_tokens,
        longest=longest,
        adapters=0 if recipe.method == "full" else adapters,
        rank=recipe.rank,
        dora=recipe.dora,
        dropout=recipe.dropout > 0,
        strategy=recipe.strategy,
        world=recipe.processes * recipe.nodes,
        cuda=recipe.device == "cuda",
    )


def estimate_memory(shape: Shape, load: Load) -> Memory:
    """Estimate the memory of a training step on one device.

    Full training in float32 with 16-bit arithmetic holds 16 bytes a parameter (weight, gradient, two moments), and 2
    more for the copies that autocast makes and keeps during the forward pass, checkpointing or not (measured).
    """
    trained = shape.total if load.method == "full" else load.adapters
    pure = load.method == "full" and is_pure(load.optimizer)
    gradients = trained * (2 if pure else 4) // load.shards
    if load.strategy == "ddp" and load.world > 1:
        gradients *= 2  # the buckets that are sent
    parts = Memory(
        weights=int(_weigh_base(shape, load) / load.shards),
        copies=_weigh_copies(shape, load),
        adapters=4 * load.adapters // load.shards,
        gradients=gradients,
        optimizer=_weigh_moments(shape, trained, pure) // load.shards,
        activations=_weigh_activations(shape, load),
        logits=_weigh_logits(shape, load),
        overhead=int(CUDA_CONTEXT if load.cuda else CPU_CONTEXT) + _weigh_masks(load),
        total=0,
    )
    return replace(parts, total=sum(getattr(parts, name) for name in Memory.__slots__))


def list_parts(memory: Memory) -> list[tuple[str, int]]:
    """Return the parts that there are, each with its label."""
    return [(label, size) for name, label in PARTS.items() if (size := getattr(memory, name))]


def weigh_checkpoint(shape: Shape, load: Load) -> int:
    """Return the bytes of a checkpoint on disk: what is trained, and its two moments; a base is not saved."""
    trained = shape.total if load.method == "full" else load.adapters
    pure = load.method == "full" and is_pure(load.optimizer)
    return trained * (2 if pure else 4) + _weigh_moments(shape, trained, pure)


def _weigh_base(shape: Shape, load: Load) -> float:
    if load.method == "qlora":  # embeddings, norms and head stay in 16 bits
        modules = min(shape.modules, shape.total)
        return modules * NF4 + (shape.total - modules) * 2
    return shape.total * (4 if load.precision == "fp32" or load.master else 2)


def _weigh_copies(shape: Shape, load: Load) -> int:
    if load.shards > 1:  # one layer at work, the next on its way, and what lies outside the layers
        outside = shape.embedding + shape.head
        layer = (shape.total - outside) // max(1, shape.layers)
        return (2 * layer + outside) * (4 if load.precision == "fp32" else 2)
    if load.method == "qlora":
        return 2 * max((each.size for each in shape.linears if each.module), default=0)
    return 2 * (shape.total - (shape.embedding if shape.head else 0)) if load.master else 0


def _weigh_moments(shape: Shape, trained: int, pure: bool) -> int:
    if pure:  # 8 bits each, but embeddings' in 32
        return 2 * max(0, trained - shape.embedding) + 8 * shape.embedding
    return 8 * trained


def _weigh_activations(shape: Shape, load: Load) -> int:
    """Return bytes of activations: all layers', or with checkpointing their inputs and one layer's."""
    layer = measure_layer(shape, load)
    backward = 8 * shape.hidden + 4 * shape.ffn  # gradients on their way through one layer
    ends = 16 * shape.hidden  # embeddings, last norm
    kept = shape.layers * layer
    if load.checkpointing:
        wide = 4 if load.precision == "fp32" or load.master else 2
        kept = shape.layers * shape.hidden * wide + layer
    return load.micro_tokens * (kept + backward + ends)


def measure_layer(shape: Shape, load: Load) -> int:
    """Return the bytes that autograd saves in one layer for one token."""
    hidden, queries, keys, ffn = shape.hidden, shape.queries, shape.keys, shape.ffn
    saved = 8 * queries + 8 * keys + 16 * ffn  # float32
    if load.precision != "fp32":
        saved = 4 * queries + 4 * keys + 8 * ffn
    if load.method == "full":
        saved += (24 if load.precision == "fp32" else 26 if load.master else 16) * hidden
    else:  # each adapter keeps a copy of its input of its own, and its inner `rank`
        adapted = sum(each.active for each in shape.linears if each.module) // max(1, shape.layers)
        saved += 16 * hidden + 2 * load.rank * adapted
        if load.precision != "fp32":
            saved += 2 * hidden + 2 * queries
        if load.dora:
            saved += 8 * hidden + 4 * queries + 8 * keys + 8 * ffn
        if load.dropout:
            saved += 20 * hidden + 4 * queries + 4 * ffn
    if load.attention == "eager":  # scores after softmax, in float32 and in 16 bits
        saved += 6 * shape.heads * load.longest
    return saved


def _weigh_logits(shape: Shape, load: Load) -> int:
    if not load.fused:
        return load.micro_tokens * shape.vocab * LOGIT
    buffer = 4 * shape.vocab * shape.hidden if load.method == "full" else 0  # gradient of the head, float32
    return min(TILE, 4 * 4096 * shape.vocab) + 4 * load.micro_tokens * shape.hidden + buffer


def _weigh_masks(load: Load) -> int:
    if load.attention in ("flash_attention_2", "varlen"):
        return 0
    return 3 * load.micro_tokens * (load.micro_tokens if load.packing else load.longest)
