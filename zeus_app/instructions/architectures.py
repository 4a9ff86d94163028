"""What the config.json of an LLM says, by the name of its weights: enough to count it without them.

`loading.skeleton` takes one. Values are those that the authors publish.
"""

from collections.abc import Mapping
from typing import Any

ARCHITECTURES: Mapping[str, Mapping[str, Any]] = {
    "smollm2-135m": {
        "model_type": "llama",
        "vocab_size": 49152,
        "hidden_size": 576,
        "intermediate_size": 1536,
        "num_hidden_layers": 30,
        "num_attention_heads": 9,
        "num_key_value_heads": 3,
        "tie_word_embeddings": True,
    },
}
