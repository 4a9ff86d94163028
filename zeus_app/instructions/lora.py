"""LoRA (Hu et al. 2021) on a frozen LLM's attention: row "+LoRA" of the paper's Table 3."""

import hashlib
from collections.abc import Callable
from typing import Any, Self

import torch
from torch import nn

from zeus_app.errors import InputError

_LINEAR_KINDS = {"Linear", "Linear4bit", "Linear8bitLt", "Conv1D"}  # the last is GPT-2's


class LoraWeights(nn.Module):
    """The low-rank matrices of an LLM, without the LLM.

    They are the same parameters that the LLM computes with. A module that registers this one trains
    them, stores them in its checkpoint, and changes the LLM when it loads a checkpoint. They stay
    on the LLM's device in float32, whatever device the other module moves to.

    Args:
        parameters: name in the LLM -> parameter.
    """

    def __init__(self, parameters: dict[str, nn.Parameter]) -> None:
        super().__init__()
        # Dots separate modules in a state_dict, so ParameterDict refuses them in a key.
        self.matrices = nn.ParameterDict(
            {name.replace(".", "/"): parameter for name, parameter in parameters.items()}
        )

    def fingerprint(self) -> str:
        """12 hexadecimal digits of the values, for the cache keys of generated texts."""
        digest = hashlib.sha256()
        for parameter in self.matrices.values():
            digest.update(parameter.detach().float().cpu().numpy().tobytes())
        return digest.hexdigest()[:12]

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> Self:
        # `.to(device)` of an outer module must not replace the LLM's parameters.
        return self


def attach(model: Any, *, rank: int) -> LoraWeights:
    """Add LoRA to every linear layer of a frozen LLM's attention, in place.

    B starts at zero (LoRA paper, section 4.1), so that the LLM's answers do not change before a
    training. The scale is 1 (alpha = rank).

    Args:
        model: a causal LLM of transformers.
        rank: inner width r of the matrices A (r, in) and B (out, r).

    Returns:
        The new parameters, the only ones with gradients.

    Raises:
        InputError: no linear layer is in a module called attn or attention.
    """
    from peft import LoraConfig, inject_adapter_in_model

    names = [
        name
        for name, module in model.named_modules()
        if type(module).__name__ in _LINEAR_KINDS and "attn" in name.replace("attention", "attn")
    ]
    if not names:
        raise InputError(
            f"LoRA of rank {rank} on {type(model).__name__}",
            expected="an LLM with linear layers in modules called attn or attention",
            remedy="set lora_rank to 0 for this LLM",
        )
    adapter = LoraConfig(r=rank, lora_alpha=rank, lora_dropout=0.0, target_modules=names)
    with torch.random.fork_rng(devices=[]):
        # Seed again, because loading the LLM may have drawn random numbers before A.
        torch.default_generator.manual_seed(torch.initial_seed())
        inject_adapter_in_model(adapter, model)
    model.eval()
    matrices = {}
    for name, parameter in model.named_parameters():
        parameter.requires_grad_("lora_" in name)
        if parameter.requires_grad:
            parameter.data = parameter.data.float()  # half precision would round Adam's steps to 0
            matrices[name.replace(".default", "")] = parameter
    return LoraWeights(matrices)
