"""LoRA (Hu et al. 2021) on a frozen LLM's attention: the row "+LoRA" of the paper's Table 3."""

import hashlib
from collections.abc import Callable
from typing import Any, Self

import torch
from torch import nn

from zeus_app.errors import InputError

_LINEAR_KINDS = {"Linear", "Linear4bit", "Linear8bitLt", "Conv1D"}  # the last is GPT-2's


class LoraWeights(nn.Module):
    """The low-rank matrices of an LLM, and nothing else of it.

    They are the very parameters that the LLM computes with, so a caller may register this module in
    its own: its optimiser then trains them, its checkpoint holds them, and loading that checkpoint
    changes the LLM. They stay on the LLM's device, in float32, wherever the caller's module goes.

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
        """12 hexadecimal digits of the values: a text that they helped to write is kept by them."""
        digest = hashlib.sha256()
        for parameter in self.matrices.values():
            digest.update(parameter.detach().float().cpu().numpy().tobytes())
        return digest.hexdigest()[:12]

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> Self:
        # `.to(device)` of the module that holds this one must not tear them out of the LLM.
        return self


def attach(model: Any, *, rank: int) -> LoraWeights:
    """Put LoRA of a rank beside every linear layer of a frozen LLM's attention, in place.

    B begins at zero (the paper of LoRA, section 4.1), so that at first the LLM answers as before;
    the scale is 1 (alpha = rank).

    Args:
        model: a causal LLM of transformers.
        rank: inner width r of the matrices A (r, in) and B (out, r).

    Returns:
        The new parameters, which alone take gradients.

    Raises:
        InputError: no layer of the model is recognised as attention.
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
        # From the seed anew, so that what was drawn while loading does not change A.
        torch.default_generator.manual_seed(torch.initial_seed())
        inject_adapter_in_model(adapter, model)
    model.eval()
    found = {}
    for name, parameter in model.named_parameters():
        parameter.requires_grad_("lora_" in name)
        if parameter.requires_grad:
            parameter.data = parameter.data.float()  # Adam's steps are lost in half precision
            found[name.replace(".default", "")] = parameter
    return LoraWeights(found)
