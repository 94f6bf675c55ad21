"""Weights in memory: those of one model at a time, with the adapters that belong on them switched on and off."""

import contextlib
import gc
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from raft_cli.chat.sources import Source
from raft_cli.errors import ConfigError, MissingExtra, ModelError

STORED = "as stored"
_SMALL = 2_000_000  # parameters below which a second thread gains nothing, and costs where its core is busy
_TYPES = {"bf16": "bfloat16", "fp16": "float16", "fp32": "float32"}


class Holder:
    """Keeps the weights asked for last: base and tuned model share one set of them.

    Attributes:
        device: As torch names it.
        dtype: `bf16`, `fp16`, `fp32` or `as stored`.
    """

    def __init__(self, *, device: str, dtype: str, trust_remote_code: bool) -> None:
        self.device = choose_device(device)
        self.dtype = choose_type(dtype, self.device)
        self._trust = trust_remote_code
        self._weights = ""
        self._model: Any = None
        self._adapted: Any = None  # peft's wrapping of the model, once there is an adapter
        self._adapters: set[str] = set()

    @contextlib.contextmanager
    def use(self, source: Source) -> Iterator[Any]:
        """Give the model of `source`; nothing else may be asked of the holder until the block ends.

        Raises:
            ModelError: It cannot be loaded.
        """
        if self._weights != source.weights:
            self._drop()
            self._model = load_weights(
                source.base.path, device=self.device, dtype=self.dtype, trust_remote_code=self._trust
            )
            self._weights = source.weights
        if source.adapter is not None:
            self._adapt(source, source.adapter)
            yield self._model
        elif self._adapted is not None:
            with self._adapted.disable_adapter():
                yield self._model
        else:
            yield self._model

    def _adapt(self, source: Source, adapter: Path) -> None:
        from peft import PeftModel
        from safetensors import SafetensorError

        name = source.adapter_hash[:16]  # peft takes it into the names of modules
        if name not in self._adapters:
            where = {"adapter_name": name, "torch_device": self.device}
            try:
                if self._adapted is None:
                    self._adapted = PeftModel.from_pretrained(self._model, str(adapter), **where).eval()
                else:
                    self._adapted.load_adapter(str(adapter), **where)
            except (OSError, ValueError, ImportError, RuntimeError, KeyError, SafetensorError) as error:
                self._drop()  # what was begun is of no use
                raise ModelError(f"{source.name}: its adapter does not go on {source.base.path}: {error}") from error
            self._adapters.add(name)
        self._adapted.set_adapter(name)

    def _drop(self) -> None:
        self._model = self._adapted = None
        self._weights, self._adapters = "", set()
        free_memory()


def choose_device(wanted: str) -> str:
    """Return the device to work on: as wanted, with `auto` the GPU when there is one.

    Raises:
        MissingExtra: torch is not installed.
        ConfigError: There is no such device.
    """
    try:
        import torch
        import transformers  # noqa: F401 - to know that it is there
    except ImportError as error:
        raise MissingExtra("a model in this process needs torch: pip install 'raft-cli[train]'") from error
    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=wanted)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(
            f"--device {wanted}: {str(error).splitlines()[0]}; --device auto takes what is there"
        ) from error
    return wanted


def choose_type(wanted: str, device: str) -> str:
    """Return the type of weights: with `auto` 16 bits on a GPU, and as they are stored on a CPU."""
    import torch

    if wanted != "auto":
        return wanted
    if not device.startswith("cuda"):
        return STORED
    return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"


def load_weights(folder: Path, *, device: str, dtype: str, trust_remote_code: bool) -> Any:  # noqa: ANN401 - untyped
    """Return a model on its device, ready to answer.

    Raises:
        ModelError: The weights cannot be loaded.
    """
    import torch
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM

    _quiet_libraries()
    where = {} if device == "cpu" else {"device_map": {"": device}}
    try:
        model: Any = AutoModelForCausalLM.from_pretrained(
            str(folder),
            local_files_only=True,
            dtype=getattr(torch, _TYPES[dtype]) if dtype in _TYPES else "auto",
            trust_remote_code=trust_remote_code,
            **where,
        )
    except torch.OutOfMemoryError as error:
        raise ModelError(f"{folder}: its weights do not fit on {device}; --device cpu has more room") from error
    except (OSError, ValueError, ImportError, RuntimeError, KeyError, TypeError, SafetensorError) as error:
        raise ModelError(f"{folder}: cannot be loaded: {error}") from error
    if device == "cpu" and "OMP_NUM_THREADS" not in os.environ and model.num_parameters() < _SMALL:
        torch.set_num_threads(1)
    return model.eval()


def free_memory() -> None:
    """Give back what nobody holds any more."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _quiet_libraries() -> None:
    """Keep transformers from writing between our lines."""
    from transformers.utils import logging

    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")
    logging.set_verbosity_error()
    logging.disable_progress_bar()
