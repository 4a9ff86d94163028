"""What the config.json of an LLM says, by the name of its weights: enough to count it without them.

`loading.skeleton` takes one. The numbers are those that the authors publish.
"""

from collections.abc import Mapping
from typing import Any

Architecture = Mapping[str, Any]


def _of(
    model_type: str,
    *,
    vocab: int,
    hidden: int,
    inner: int,
    layers: int,
    heads: int,
    kv_heads: int,
    head_dim: int | None = None,
    tied: bool = False,
) -> Architecture:
    """A config.json of the LLaMA family; `tied`: the last layer is the embedding's transpose."""
    return {
        "model_type": model_type,
        "vocab_size": vocab,
        "hidden_size": hidden,
        "intermediate_size": inner,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "head_dim": head_dim or hidden // heads,
        "tie_word_embeddings": tied,
    }


LLAMA_7B = _of(
    "llama", vocab=32000, hidden=4096, inner=11008, layers=32, heads=32, kv_heads=32
)
LLAMA_13B = _of(
    "llama", vocab=32000, hidden=5120, inner=13824, layers=40, heads=40, kv_heads=40
)
SMOLLM2_135M = _of(
    "llama", vocab=49152, hidden=576, inner=1536, layers=30, heads=9, kv_heads=3, tied=True
)
QWEN2_1_5B = _of(
    "qwen2", vocab=151936, hidden=1536, inner=8960, layers=28, heads=12, kv_heads=2, tied=True
)

ARCHITECTURES: Mapping[str, Architecture] = {
    "smollm2-135m": SMOLLM2_135M,
    "smollm2-135m-safetensors": SMOLLM2_135M,
    "vicuna-7b-v1.5": LLAMA_7B,
    "vicuna-13b-v1.5": LLAMA_13B,
    "vicuna-rad-7b": LLAMA_7B,
    "llama-2-7b-chat": LLAMA_7B,
    "llama-3.2-1b-instruct": _of(
        "llama", vocab=128256, hidden=2048, inner=8192, layers=16, heads=32, kv_heads=8, tied=True
    ),
    "llama-3.2-3b-instruct": _of(
        "llama", vocab=128256, hidden=3072, inner=8192, layers=28, heads=24, kv_heads=8, tied=True
    ),
    "llama-3.1-8b-instruct": _of(
        "llama", vocab=128256, hidden=4096, inner=14336, layers=32, heads=32, kv_heads=8
    ),
    "deepseek-r1-distill-qwen-1.5b": {**QWEN2_1_5B, "tie_word_embeddings": False},
    "qwen2.5-0.5b-instruct": _of(
        "qwen2", vocab=151936, hidden=896, inner=4864, layers=24, heads=14, kv_heads=2, tied=True
    ),
    "qwen2.5-1.5b-instruct": QWEN2_1_5B,
    "qwen2.5-7b-instruct": _of(
        "qwen2", vocab=152064, hidden=3584, inner=18944, layers=28, heads=28, kv_heads=4
    ),
    "qwen3-0.6b": _of(
        "qwen3", vocab=151936, hidden=1024, inner=3072, layers=28, heads=16, kv_heads=8,
        head_dim=128, tied=True,
    ),
}  # fmt: skip
