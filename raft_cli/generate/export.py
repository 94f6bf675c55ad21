"""Write the rows of a dataset in another format, as JSONL or Parquet. Knows no teacher and no corpus."""

from pathlib import Path

from raft_cli.config.generate import FORMATS
from raft_cli.errors import ConfigError, DatasetError, MissingExtra
from raft_cli.generate.write import DATA_FILES, export_rows
from raft_cli.store import explain_write_error, write_lines

_SPLITS = ("train", "validation", "test", "all")


def export_dataset(folder: Path, out: Path, *, format: str, split: str, system: str) -> int:
    """Write the rows of `folder` to `out` and return their number.

    Raises:
        ConfigError: The format, the split or the ending of `out` is unknown.
        DatasetError: There are no such rows, or `out` cannot be written.
        MissingExtra: Parquet is asked for without the `datasets` package.
    """
    if format not in ("native", *FORMATS):
        raise ConfigError(f"--format {format}: choose from native, {', '.join(FORMATS)}")
    if split not in _SPLITS:
        raise ConfigError(f"--split {split}: choose from {', '.join(_SPLITS)}")
    if out.suffix not in (".jsonl", ".json", ".parquet"):
        raise ConfigError(f"-o {out}: the name must end in .jsonl or .parquet")
    if out.resolve() in {path.resolve() for path in (folder, *(folder / name for name in DATA_FILES))}:
        raise ConfigError(f"-o {out} would overwrite the dataset itself; choose another name")
    if out.suffix != ".parquet":
        return write_lines(out, export_rows(folder, format=format, split=split, system=system))
    return _write_parquet(folder, out, format=format, split=split, system=system)


def _write_parquet(folder: Path, out: Path, *, format: str, split: str, system: str) -> int:
    try:
        import datasets
    except ImportError as error:
        raise MissingExtra("Parquet needs the datasets package: pip install 'raft-cli[datasets]'") from error
    import tempfile

    count = sum(1 for _ in export_rows(folder, format=format, split=split, system=system))  # names a bad row
    if not count:
        raise DatasetError(f"{folder}: no rows in the {split} split")
    chosen = {"folder": folder, "format": format, "split": split, "system": system}
    partial = out.with_name(out.name + ".part")
    datasets.disable_progress_bars()
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as cache:
            made = datasets.Dataset.from_generator(export_rows, cache_dir=cache, gen_kwargs=chosen)
            made.to_parquet(str(partial))
        partial.replace(out)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise explain_write_error(out, error) from error
    return count
