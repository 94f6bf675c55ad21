"""How to serve and convert a tuned model, as text with exact commands. Pure."""

_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)  # those that vLLM has kernels for
_ROUND = 1024


def choose_context(longest: int) -> int:
    """Return a context that holds rows of `longest` tokens, answers included; 0 when that is not known."""
    return -(-longest // _ROUND) * _ROUND if longest > 0 else 0


def explain_adapter(*, base: str, rank: int, dora: bool, chat: bool, longest: int) -> str:
    """Return how to serve an adapter as it is; RUN stands for its folder."""
    merge = "raft merge RUN -o DIR"
    context = choose_context(longest)
    reason = "it is a DoRA adapter, which vLLM does not load" if dora else ""
    if rank > _RANKS[-1]:
        reason = f"its rank is above the {_RANKS[-1]} that vLLM has kernels for"
    if reason:
        return f"Merge it first ({reason}); the README of DIR says how to serve and convert that:\n\n    {merge}\n"
    least = next(each for each in _RANKS if each >= rank)
    flags = f" --max-model-len {context}" if context else ""
    flags += " --chat-template RUN/chat_template.jinja" if chat else ""
    return f"""\
vLLM serves the adapter beside its base (RUN is this folder; ask for the model `raft`):

    vllm serve {base} --enable-lora --lora-modules raft=RUN --max-lora-rank {least}{flags}

Everything else (Ollama, llama.cpp, servers without adapters) wants one whole model:

    {merge}

The README of DIR says how to serve and convert it.
"""


def explain_model(*, chat: bool, longest: int) -> str:
    """Return how to serve a whole model and how to make a GGUF file of it; DIR stands for its folder."""
    context = choose_context(longest)
    length = f" --max-model-len {context}" if context else ""
    reach = context or 8192
    template = (
        "The chat template is in the GGUF file; `ollama show raft --modelfile` must show a TEMPLATE that is more than "
        "`{{ .Prompt }}`. If it is not, write the template of chat_template.jinja in Ollama's own language."
        if chat
        else "This model has no chat template: add the line `TEMPLATE {{ .Prompt }}` to the Modelfile, and ask in raw "
        "mode."
    )
    return f"""\
**vLLM** (DIR is this folder):

    vllm serve DIR{length}

**llama.cpp**: convert with the script of its repository, quantise, serve:

    python convert_hf_to_gguf.py DIR --outfile model.gguf --outtype bf16
    llama-quantize model.gguf model-Q4_K_M.gguf Q4_K_M
    llama-server -m model-Q4_K_M.gguf -c {reach}{" --jinja" if chat else ""}

Quantising costs accuracy; evaluate what will be served.

**Ollama**: a file named `Modelfile` beside model.gguf, then `ollama create raft`:

    FROM ./model.gguf
    PARAMETER num_ctx {reach}
    PARAMETER temperature 0

`FROM DIR` works too, for the architectures that Ollama converts itself. Keep `num_ctx`: its default is shorter than
many RAFT prompts, and what does not fit is cut off without a word. {template}
"""
