"""The base model of learns.py, made on the spot: a word tokenizer, and a small Llama taught to copy.

What it is taught is generic: random tokens that recur, and lists of random records whose keys share fields, so that the
continuation is certain only when several tokens of context match. It sees neither RAFT's layout nor a sentence of the
corpus.
"""

import time
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


def draw_records(draw: np.random.Generator, tokens: int, rows: int, length: int, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Return lists of records said again and again in another order, and where their payloads are certain.

    A record is a key of one to four fields, with or without glue between them, and a payload. The keys share fields.
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


def make_base(folder: Path, tokens: int, *, hidden: int, layers: int, steps: int, seed: int, device: str, theta: float = 10000., dim: int = 16) -> str:
    """Save a Llama that can copy, and return what it can do: short copies until it can, then longer ones and records."""
    torch.manual_seed(seed)
    draw = np.random.default_rng(seed)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=tokens,
            hidden_size=hidden,
            intermediate_size=2 * hidden,
            num_hidden_layers=layers,
            num_attention_heads=hidden // dim,
            num_key_value_heads=hidden // dim,
            max_position_embeddings=512, rope_parameters={'rope_type':'default','rope_theta':theta},
            tie_word_embeddings=False,
            bos_token_id=None,
            pad_token_id=SPECIAL.index("<|pad|>"),
            eos_token_id=SPECIAL.index("<|im_end|>"),
        )
    ).to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.0, betas=(0.9, 0.98), weight_decay=0.01)

    def step(ids: np.ndarray, certain: np.ndarray, rate: float) -> np.ndarray:
        """Learn one batch, and return which of the certain tokens were foreseen, -1 for those that are not certain."""
        for group in optimizer.param_groups:
            group["lr"] = rate
        inputs = torch.from_numpy(ids).to(device)
        where = torch.from_numpy(certain[:, 1:]).to(device)
        scores = model.lm_head(model.model(inputs).last_hidden_state[:, :-1][where])
        wanted = inputs[:, 1:][where]
        loss = torch.nn.functional.cross_entropy(scores, wanted)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        hits = np.full(certain[:, 1:].shape, -1)
        hits[certain[:, 1:]] = (scores.argmax(-1) == wanted).cpu().numpy()
        return hits

    def share(hits: np.ndarray) -> float:
        return float(hits[hits >= 0].mean())

    peak = 0.005 * (64 / hidden) ** 0.5
    started, seen, short = time.monotonic(), 0.0, 0
    while seen < 0.93 and short < 4 * steps:
        hits = step(*draw_copies(draw, tokens, 64, 32), peak * min(1, (short + 1) / 100))
        seen = 0.95 * seen + 0.05 * share(hits)
        short += 1
    switch = time.monotonic() - started
    copied = looked = 0.0
    for at in range(steps):
        copies, records = draw_copies(draw, tokens, 6, 96), draw_records(draw, tokens, 26, 96, min(4, 2 + 4 * at // steps))
        rate = 0.6 * peak * min(1, (at + 1) / 50, (steps - at) / (0.4 * steps))
        hits = step(np.concatenate([copies[0], records[0]]), np.concatenate([copies[1], records[1]]), rate)
        copied = 0.95 * copied + 0.05 * share(hits[:6])
        looked = 0.95 * looked + 0.05 * share(hits[6:])
        if at % 200 == 199:
            print(f"    {at + 1} steps: copies {copied:.3f}, records {looked:.3f}", flush=True)
    model.save_pretrained(folder)
    size = sum(weight.numel() for weight in model.parameters())
    return (
        f"{layers} layers of {hidden}, {size:,} weights, {tokens} tokens; {short} steps of short copies ({switch:.0f} s),"
        f" {steps} of copies and records; foresees {copied:.1%} of copies, {looked:.1%} of records"
    )
