"""One layer of a LLaMA-architecture LLM, which reads the tokens of an image.

Only the tensors of that layer are read from the weights. Source: LLM4Seg (arXiv 2506.18034).
"""

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from zeus_app.errors import InputError
from zeus_app.instructions.gguf import unpacked

LAYER_CLASSES: Mapping[str, str] = {
    "llama": "LlamaDecoderLayer",
    "qwen2": "Qwen2DecoderLayer",
    "qwen3": "Qwen3DecoderLayer",
}
"""`model_type` of a config.json -> class of its layers in transformers."""
FINGERPRINT_BYTES = 16
_PREFIX = re.compile(r"model\.layers\.(\d+)\.(.+)")


class LlmLayer(nn.Module):
    """A decoder layer of transformers over the tokens of an image.

    A token's position is cos and sin of its index in radians, the same in every dimension. There is
    no attention mask: each token attends to all tokens.

    A frozen layer is left out of the state dict, which has a fingerprint of its weights instead. A
    state dict of another frozen layer is refused.

    Args:
        layer: from `read_layer` or `random_layer`.
        frozen: whether its parameters stay as they are. Gradients pass through them.

    Attributes:
        width: D, the length of a token.
    """

    def __init__(self, layer: nn.Module, *, frozen: bool) -> None:
        super().__init__()
        self.layer = layer.requires_grad_(not frozen)
        self.frozen = frozen
        self.width = int(cast(int, layer.hidden_size))
        layer.self_attn.is_causal = False  # type: ignore[union-attr]
        if frozen:
            self.register_buffer("fingerprint", fingerprint(layer))
            hooks = cast(Any, self)  # the two methods have no types
            hooks.register_state_dict_post_hook(_drop_frozen)
            hooks.register_load_state_dict_pre_hook(_keep_frozen)
        self.train(self.training)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """(B, T, D) -> (B, T, D)."""
        index = torch.arange(tokens.shape[1], device=tokens.device, dtype=torch.float32)
        angle = index[None, :, None]
        positions = angle.cos().to(tokens.dtype), angle.sin().to(tokens.dtype)
        states: torch.Tensor = self.layer(tokens, position_embeddings=positions)
        return states

    def train(self, mode: bool = True) -> "LlmLayer":
        """Set the mode; a frozen layer always evaluates."""
        super().train(mode)
        if self.frozen:
            self.layer.eval()
        return self


def read_layer(weights: Path, index: int) -> nn.Module:
    """One layer of an LLM in float32, with its published weights.

    Args:
        weights: a folder as transformers saves a model in safetensors, in one file or several; or a
            file in such a folder; or a GGUF file, which is unpacked beside it the first time.
        index: index of the layer, counted from 0.

    Raises:
        InputError: the folder has no such layer, no safetensors, or another architecture.
    """
    folder = folder_of_llm(weights)
    files = _files_of_tensors(folder)
    names = _names_in_layer(files, index, folder)
    layer = empty_layer(read_architecture(folder), index)
    state = _read_tensors(folder, {short: (name, files[name]) for short, name in names.items()})
    try:
        layer.load_state_dict(state)
    except RuntimeError as error:
        raise InputError(
            f"layer {index} in {folder} does not fit its config.json: {str(error)[:300]}",
            expected="config.json and weights of one model",
            remedy="download the files of the model again into this folder",
        ) from error
    return layer


def folder_of_llm(weights: Path) -> Path:
    """The folder with config.json and safetensors. A GGUF file is unpacked beside it."""
    folder = unpacked(weights) if weights.suffix == ".gguf" else weights
    return folder if folder.is_dir() else folder.parent


def read_architecture(folder: Path) -> dict[str, Any]:
    """Contents of the config.json of an LLM.

    Raises:
        InputError: the folder has none, or it does not describe an LLM.
    """
    path = folder / "config.json"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        counted = {"num_hidden_layers": int(found["num_hidden_layers"])}
        return {**found, **counted, "model_type": str(found["model_type"])}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path} does not describe an LLM: {str(error)[:200]}",
            expected="the config.json of a causal LLM, beside its safetensors",
            remedy="put the LLM's config.json there, or name another folder",
        ) from error


def random_layer(architecture: Mapping[str, Any], index: int, *, seed: int) -> nn.Module:
    """A layer of the same architecture with random weights: the same for the same seed.

    Matrices are drawn as in Xavier's uniform initialisation; biases are 0 and norms 1.

    Args:
        architecture: contents of a config.json.
        index: index of the layer, counted from 0.
        seed: seed of the weights.

    Raises:
        InputError: the architecture has no such layer, or is not known here.
    """
    count = int(architecture["num_hidden_layers"])
    if not 0 <= index < count:
        raise _no_such_layer(index, range(count), str(architecture["model_type"]))
    layer = empty_layer(architecture, index)
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in layer.named_parameters():
        if parameter.ndim == 2:
            nn.init.xavier_uniform_(parameter, generator=generator)
        else:
            nn.init.constant_(parameter, float(not name.endswith("bias")))
    return layer


def fingerprint(module: nn.Module) -> torch.Tensor:
    """(16,) uint8, the beginning of the SHA-256 of all parameters; 0 on the meta device."""
    if any(parameter.is_meta for parameter in module.parameters()):
        return torch.zeros(FINGERPRINT_BYTES, dtype=torch.uint8)
    digest = hashlib.sha256()
    for name, parameter in module.named_parameters():
        digest.update(name.encode())
        digest.update(parameter.detach().float().cpu().numpy().tobytes())
    return torch.tensor(list(digest.digest()[:FINGERPRINT_BYTES]), dtype=torch.uint8)


def _drop_frozen(module: nn.Module, state: dict[str, Any], prefix: str, metadata: object) -> None:
    for name in [name for name in state if name.startswith(f"{prefix}layer.")]:
        del state[name]


def _keep_frozen(module: nn.Module, state: dict[str, Any], prefix: str, *args: object) -> None:
    """Let the frozen parameters stand for the ones that the state dict leaves out."""
    given = state.get(f"{prefix}fingerprint")
    own = cast(torch.Tensor, module.fingerprint)
    if given is not None and given.tolist() != own.tolist():
        raise InputError(
            "weights that were trained around another frozen LLM layer",
            expected="the LLM, layer index and seed of the training",
            remedy="give the LLM and the layer of the training, or train again",
        )
    frozen = cast(nn.Module, module.layer).state_dict(prefix=f"{prefix}layer.")
    state.update(frozen)


def _files_of_tensors(folder: Path) -> dict[str, str]:
    """Name of each tensor -> file name of the safetensors that holds it."""
    index = folder / "model.safetensors.index.json"
    whole = folder / "model.safetensors"
    try:
        if index.is_file():
            weight_map = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
            return {str(name): Path(str(file)).name for name, file in weight_map.items()}
        if whole.is_file():
            return dict.fromkeys(_tensor_names(whole), whole.name)
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise _unreadable(folder, error) from error
    raise InputError(
        f"{folder} holds no model.safetensors",
        expected="model.safetensors, or model.safetensors.index.json with its shards",
        remedy="put an LLM's safetensors and config.json there, or name another folder",
    )


def _tensor_names(path: Path) -> list[str]:
    from safetensors import safe_open

    with _reading(path), safe_open(path, framework="pt") as file:
        return list(file.keys())


def _names_in_layer(files: Mapping[str, str], index: int, folder: Path) -> dict[str, str]:
    """Name of a tensor within the layer -> its name in the files."""
    matches = [match for name in files if (match := _PREFIX.fullmatch(name))]
    present = sorted({int(match[1]) for match in matches})
    if index not in present:
        raise _no_such_layer(index, present, str(folder))
    return {match[2]: match[0] for match in matches if int(match[1]) == index}


def _no_such_layer(index: int, present: "list[int] | range", where: str) -> InputError:
    there = f"a layer from {present[0]} to {present[-1]}" if present else "an LLM with layers"
    return InputError(
        f"layer {index} of {where}",
        expected=there,
        remedy=f"name one of them, for example {present[-1]}" if present else "name another LLM",
    )


def _read_tensors(folder: Path, places: Mapping[str, tuple[str, str]]) -> dict[str, torch.Tensor]:
    """Key -> tensor in float32, from (name, file); each file is opened once."""
    from safetensors import safe_open

    state: dict[str, torch.Tensor] = {}
    for file_name in sorted({file for _, file in places.values()}):
        with _reading(folder / file_name), safe_open(folder / file_name, framework="pt") as file:
            for key, (name, where) in places.items():
                if where == file_name:
                    state[key] = file.get_tensor(name).float()
    return state


class _reading:
    """Turns the errors of a damaged or missing file of tensors into InputError."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        from safetensors import SafetensorError

        if isinstance(error, OSError | SafetensorError):
            raise _unreadable(self.path, error) from error


def _unreadable(path: Path, error: Exception) -> InputError:
    return InputError(
        f"{path} cannot be read: {str(error)[:200]}",
        expected="whole safetensors files of an LLM",
        remedy="download the files of the model again",
    )


def empty_layer(architecture: Mapping[str, Any], index: int) -> nn.Module:
    """A layer in float32 whose weights are not set.

    Raises:
        InputError: the architecture is not known here.
    """
    from importlib import import_module

    from transformers import AutoConfig

    settings = {key: value for key, value in architecture.items() if key != "dtype"}
    kind = str(settings.pop("model_type"))
    if kind not in LAYER_CLASSES:
        raise InputError(
            f"an LLM of model_type {kind!r}",
            expected=f"one of {', '.join(LAYER_CLASSES)}",
            remedy="name an LLM of such an architecture, for example smollm2-135m",
        )
    config = AutoConfig.for_model(kind, **settings)
    config._attn_implementation = "sdpa"
    layers = import_module(f"transformers.models.{kind}.modeling_{kind}")
    layer: nn.Module = getattr(layers, LAYER_CLASSES[kind])(config, index)
    return layer.float()
