"""The corpus of a run: read, cut, sifted, checked to be large enough. Knows nothing of teachers."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from raft_cli.config.generate import GenerateConfig
from raft_cli.corpus.ingest import Loaded, drop_duplicates, load_corpus
from raft_cli.data import Chunk, Document, Reject
from raft_cli.errors import ConfigError, CorpusError
from raft_cli.progress import Progress
from raft_cli.store import write_lines

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_MEGABYTE = 1 << 20


@dataclass(slots=True)
class Intake:
    """What the corpus came to.

    Attributes:
        long_cuts: Chunks that came already cut and exceed the budget; they are kept whole.
    """

    files: int = 0
    documents: int = 0
    chunks: list[Chunk] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    long_cuts: int = 0

    @property
    def tokens(self) -> int:
        """Tokens of all chunks."""
        return sum(chunk.tokens for chunk in self.chunks)


def take_in(
    corpus: Sequence[str], config: GenerateConfig, *, documents_file: Path | None, progress: Progress
) -> Intake:
    """Read and cut the corpus; write its documents to `documents_file` on the way, so that they need no memory.

    Raises:
        CorpusError: Nothing could be read, or (with --strict) something could not.
    """
    intake = Intake()
    sketches: list[npt.NDArray[np.uint64]] = []
    loaded = progress.track(_load(corpus, config), title="reading", unit=" files")
    documents = _stream(loaded, config, intake, sketches)
    if documents_file is None:
        for _ in documents:
            pass
    else:
        write_lines(documents_file, (_as_record(document) for document in documents))
    unread = [reject for reject in intake.rejects if reject.stage == "read"]
    if config.strict and unread:
        raise CorpusError(f"--strict: {_list_unread(unread)}")
    if not intake.documents:
        raise CorpusError(f"no readable document in {', '.join(corpus)}: {_list_unread(unread)}")
    kept, repeats = drop_duplicates(intake.chunks, sketches)
    intake.chunks = kept
    intake.rejects += repeats
    return intake


def check_size(intake: Intake, config: GenerateConfig) -> None:
    """Refuse a corpus with fewer chunks than a row needs documents.

    Raises:
        CorpusError: It is too small; the message says by how much.
    """
    hops = 2 if "multi-hop" in config.kinds else 1
    present_only = config.oracle_share == 1 and not config.both_contexts
    most = config.distractor_range[1]
    need = most + (hops if present_only else 2 * hops)
    have = len(intake.chunks)
    if have >= need:
        return
    able = most - (need - have)
    ways = [f"lower --chunk-size ({config.chunk_size} tokens)"]
    if able >= 0:
        ways.insert(0, f"lower --distractors to {able}")
    elif not present_only:
        ways.insert(0, "set --oracle-share 1 and fewer --distractors")
    missing = f"{need - have} more are needed"
    raise CorpusError(
        f"{have} chunks are too few for rows with {most} distractors: {missing}; {', '.join(ways)}, or add documents"
    )


def _stream(
    files: Iterable[Loaded], config: GenerateConfig, intake: Intake, sketches: "list[npt.NDArray[np.uint64]]"
) -> Iterator[Document]:
    for loaded in files:
        intake.files += 1
        intake.documents += len(loaded.documents)
        intake.chunks += loaded.chunks
        intake.rejects += loaded.rejects
        cut = {document.id for document in loaded.documents if document.cuts}
        intake.long_cuts += sum(chunk.tokens > config.chunk_size for chunk in loaded.chunks if chunk.document_id in cut)
        if loaded.sketches is not None:
            sketches.append(loaded.sketches)
        yield from loaded.documents


def _load(corpus: Sequence[str], config: GenerateConfig) -> Iterator[Loaded]:
    return load_corpus(
        corpus,
        tokenizer=config.tokenizer,
        size=config.chunk_size,
        overlap=config.overlap,
        workers=config.workers,
        timeout=config.file_timeout,
        memory_mb=config.file_memory,
        size_limit=config.file_size * _MEGABYTE,
    )


def _as_record(document: Document) -> dict[str, object]:
    return {
        "id": document.id,
        "source": document.source,
        "title": document.title,
        "text": document.text,
        "page_starts": list(document.page_starts),
    }


def _list_unread(rejects: Sequence[Reject]) -> str:
    if not rejects:
        return "no text in any file"
    counted = Counter(reject.reason for reject in rejects)
    named = "; ".join(f"{reject.source} ({reject.reason}: {reject.detail})" for reject in rejects[:5])
    more = f"; and {len(rejects) - 5} more" if len(rejects) > 5 else ""
    return f"{', '.join(f'{count} {reason}' for reason, count in counted.items())}: {named}{more}"


def check_prices(config: GenerateConfig) -> None:
    """Refuse a spending cap without prices.

    Raises:
        ConfigError: --max-cost is given and the prices are not.
    """
    if config.max_cost is not None and config.price_in is None:
        raise ConfigError("--max-cost needs --price-in and --price-out (dollars per million tokens)")
