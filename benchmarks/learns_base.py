"""The base model of learns.py, made on the spot: a word tokenizer, and a small Llama taught to copy.

What it is taught is generic: random tokens that recur, and lists of random records whose keys share fields, so that the
continuation is certain only when several tokens of context match. It sees neither RAFT's layout nor a sentence of the
corpus.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

SPECIAL = ["<|pad|>", "<|unk|>", "<|im_start|>", "<|im_end|>"]
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
PIECES = r"</?DOCUMENT>|##(?:begin|end)_quote##|<ANSWER>:| ?\w+|\s| ?[^\w\s]"


def make_tokenizer(folder: Path, texts: Sequence[str]) -> int:
    """Save a tokenizer whose tokens are the words of `texts`, each with the blank before it; return their number."""
    cutter = pre_tokenizers.Split(Regex(PIECES), "isolated")
    words = sorted({piece for text in texts for piece, _ in cutter.pre_tokenize_str(text)})
    core = Tokenizer(models.WordLevel({word: at for at, word in enumerate(SPECIAL + words)}, unk_token="<|unk|>"))
    core.pre_tokenizer = cutter
    core.decoder = decoders.Fuse()
    names = dict(zip(("pad_token", "unk_token", "eos_token"), (SPECIAL[0], SPECIAL[1], SPECIAL[3]), strict=True))
    core.add_special_tokens(SPECIAL)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, chat_template=TEMPLATE, **names)
    tokenizer.save_pretrained(folder)
    return len(SPECIAL) + len(words)


def draw_copies(draw: np.random.Generator, tokens: int, rows: int, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Return sequences in which a random segment recurs, and where the next token is certain."""
    ids = np.zeros((rows, length), np.int64)
    certain = np.zeros((rows, length), bool)
    for row in range(rows):
        segment = draw.integers(len(SPECIAL), tokens, draw.integers(4, length // 2 + 1))
        ids[row] = np.resize(segment, length)
        certain[row, len(segment) + 1 :] = True
    return ids, certain


def draw_records(
    draw: np.random.Generator, tokens: int, rows: int, length: int, most: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return lists of records said again and again in another order, and where their payloads are certain.

    A record is a key of one to `most` fields, with or without glue between them, and a payload. The keys share fields.
    """
    ids = np.zeros((rows, length), np.int64)
    certain = np.zeros((rows, length), bool)
    for row in range(rows):
        fields = int(draw.integers(1, most + 1))
        choices = int(draw.integers(2, 4)) if fields > 1 else 6
        pool = draw.integers(len(SPECIAL), tokens, (fields, choices))
        keys = {tuple(draw.integers(0, choices, fields)) for _ in range(int(draw.integers(3, 7)))}
        glue = [draw.integers(len(SPECIAL), tokens, draw.integers(0, 2)) for _ in range(fields + 2)]
        width = int(draw.integers(1, 3))
        records = []
        for key in keys:
            parts = [part for at in range(fields) for part in (glue[at], pool[at, key[at], None])]
            head = np.concatenate([*parts, glue[fields]])
            payload = draw.integers(len(SPECIAL), tokens, width)
            marks = np.arange(len(head) + width + len(glue[-1]))
            records.append(
                (np.concatenate([head, payload, glue[-1]]), (marks >= len(head)) & (marks < len(head) + width))
            )
        said = [records[at] for _ in range(length // len(records) + 1) for at in draw.permutation(len(records))]
        ids[row] = np.concatenate([record for record, _ in said])[:length]
        certain[row] = np.concatenate([marks for _, marks in said])[:length]
        certain[row, : sum(len(record) for record, _ in records)] = False
    return ids, certain


class Pupil:
    """A small Llama and its optimizer."""

    def __init__(self, tokens: int, hidden: int, layers: int, seed: int, device: str) -> None:
        torch.manual_seed(seed)
        config = LlamaConfig(
            vocab_size=tokens,
            hidden_size=hidden,
            intermediate_size=2 * hidden,
            num_hidden_layers=layers,
            num_attention_heads=hidden // 16,
            num_key_value_heads=hidden // 16,
            max_position_embeddings=512,
            tie_word_embeddings=False,  # tied, it had not begun to copy after three times as many steps
            bos_token_id=None,
            pad_token_id=SPECIAL.index("<|pad|>"),
            eos_token_id=SPECIAL.index("<|im_end|>"),
        )
        self._device = device
        self.model = LlamaForCausalLM(config).to(device)
        self._optimizer = torch.optim.AdamW(self.model.parameters(), lr=0.0, betas=(0.9, 0.98), weight_decay=0.01)

    def learn(self, ids: np.ndarray, certain: np.ndarray, rate: float) -> np.ndarray:
        """Learn a batch, and return for each token but the first: 1 foreseen, 0 not foreseen, -1 not certain."""
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        inputs = torch.from_numpy(ids).to(self._device)
        where = torch.from_numpy(certain[:, 1:]).to(self._device)
        scores = self.model.lm_head(self.model.model(inputs).last_hidden_state[:, :-1][where])
        wanted = inputs[:, 1:][where]
        loss = torch.nn.functional.cross_entropy(scores, wanted)
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self._optimizer.step()
        hits = np.full(certain[:, 1:].shape, -1)
        hits[certain[:, 1:]] = (scores.argmax(-1) == wanted).cpu().numpy()
        return hits


def make_base(folder: Path, tokens: int, *, hidden: int, layers: int, steps: int, seed: int, device: str) -> str:
    """Save a Llama that can copy, and return what it can do; it learns short copies, then longer ones and records."""
    draw = np.random.default_rng(seed)
    pupil = Pupil(tokens, hidden, layers, seed, device)
    peak = 0.005 * (64 / hidden) ** 0.5
    short, seen = 0, 0.0
    while seen < 0.93 and short < 4 * steps:  # without this, it learns nothing from records
        hits = pupil.learn(*draw_copies(draw, tokens, 64, 32), peak * min(1, (short + 1) / 100))
        seen += 0.05 * (_share(hits) - seen)
        short += 1
    copied = looked = 0.0
    for at in range(steps):
        copies = draw_copies(draw, tokens, 6, 96)
        records = draw_records(draw, tokens, 26, 96, min(4, 2 + 4 * at // steps))
        ids, certain = (np.concatenate(pair) for pair in zip(copies, records, strict=True))
        hits = pupil.learn(ids, certain, 0.6 * peak * min(1, (at + 1) / 50, (steps - at) / (0.4 * steps)))
        copied += 0.05 * (_share(hits[:6]) - copied)
        looked += 0.05 * (_share(hits[6:]) - looked)
    pupil.model.save_pretrained(folder)
    size = sum(weight.numel() for weight in pupil.model.parameters())
    return (
        f"base: {layers} layers of {hidden}, {size:,} weights, {tokens} tokens; {short} steps of short copies, {steps} "
        f"of copies and records, of which it foresees {copied:.1%} and {looked:.1%}"
    )


def _share(hits: np.ndarray) -> float:
    return float(hits[hits >= 0].mean())
