"""Weights of the frozen towers: where they come from, and checks of those on disk.

The registry is the YAML files of this package. Each weight has its own folder in
`weights_folder()`; without a network, put the files there by hand. Only `get` downloads anything.
"""

from zeus_app.weights.entries import WEIGHTS, Licence, Manual, Weight, WeightFile
from zeus_app.weights.fetch import get, licence_to_accept
from zeus_app.weights.folder import (
    State,
    check_present,
    is_here,
    is_path,
    locate,
    state_of,
    verify,
    weights_folder,
)

__all__ = [
    "WEIGHTS",
    "Licence",
    "Manual",
    "State",
    "Weight",
    "WeightFile",
    "check_present",
    "get",
    "is_here",
    "is_path",
    "licence_to_accept",
    "locate",
    "state_of",
    "verify",
    "weights_folder",
]
