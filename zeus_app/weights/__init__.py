"""Where the frozen towers' weights come from, and whether those that are here are the right ones.

The registry is the YAML files of this package. A weight is kept in a folder of its own in
`weights_folder()`; whoever has no network can put the files there by hand. Nothing is downloaded
but by `get`.
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
