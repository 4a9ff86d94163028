"""Where the frozen towers' weights come from, and whether those that are here are the right ones.

The registry is the YAML files of this package. A weight is kept in a folder of its own in
`weights_folder()`; whoever has no network can put the files there by hand. Nothing is downloaded
but by `get`.
"""

from zeus_app.weights.entries import WEIGHTS, Licence, Weight, WeightFile
from zeus_app.weights.fetch import get, licence_to_accept
from zeus_app.weights.folder import State, is_here, locate, state_of, verify, weights_folder

__all__ = [
    "WEIGHTS",
    "Licence",
    "State",
    "Weight",
    "WeightFile",
    "get",
    "is_here",
    "licence_to_accept",
    "locate",
    "state_of",
    "verify",
    "weights_folder",
]
