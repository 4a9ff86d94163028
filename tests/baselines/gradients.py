"""What every network must pass: a gradient for every parameter."""

import torch

from zeus_app.baselines.network import Network


def parameters_without_gradient(network: Network, pixels: torch.Tensor) -> list[str]:
    """Names of parameters that one training step leaves as they are."""
    network.train()
    network(pixels).square().mean().backward()
    return [
        name
        for name, parameter in network.named_parameters()
        if parameter.grad is None or not parameter.grad.any()
    ]


def count_parameters(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
