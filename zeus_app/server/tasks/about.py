"""What GET /info tells a radiologist: the state of the model, sequences, licences of the weights.

3D Slicer shows the description of a model when the mouse rests on its name. It breaks no lines, so
each line here is short.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from zeus_app.profiles import load_profile
from zeus_app.server.context import ServerContext
from zeus_app.settings.config import ZeusConfig
from zeus_app.targets import Target
from zeus_app.training.checkpoint_files import CheckpointInfo
from zeus_app.weights import WEIGHTS, is_path

UNTRAINED_NOTE = "Untrained: use clicks (SmartEdit), submit labels, then train."
NOTICE = "Machine-made, not for diagnosis."


def model_description(context: ServerContext, weights: Sequence[Mapping[str, str]]) -> str:
    """The description of the model, in lines: how far it is, what it makes, the weights.

    Args:
        context: has the target and the served version.
        weights: from `weights_of`.
    """
    target, served = context.target, context.checkpoints.served()
    licences = ", ".join(f"{each['name']} ({each['licence']})" for each in weights)
    return "\n".join([
        UNTRAINED_NOTE if served is None else _trained(served),
        f"{target.instance}: one mask from {', '.join(target.sequence_names)}",
        f"Weights: {licences}",
        NOTICE,
    ])  # fmt: skip


def _trained(served: CheckpointInfo) -> str:
    score = "" if served.score is None else f", validation Dice {served.score:.2f}"
    number = len(served.studies)
    studies = "1 study" if number == 1 else f"{number} studies"
    return f"Version {served.version}, learned from {studies}{score}."


def weights_of(config: ZeusConfig) -> list[dict[str, str]]:
    """Name, role, licence and source of the weights that a server uses, each once.

    A model other than Zeus uses those of the image encoder alone, for clicks. A file of the user's
    own is not named.
    """
    return list({entry["name"]: entry for entry in _weights(config)}.values())


def _weights(config: ZeusConfig) -> Iterator[dict[str, str]]:
    profile = load_profile(config.profile)
    images, vision = profile.image_encoder, profile.vision
    llm, texts = profile.llm, profile.text_encoder
    towers = [("image encoder", images.kind, images.weights)]
    if config.model == "zeus":
        towers += [
            ("vision tower", vision.kind, vision.weights),
            ("language model", llm.kind, llm.weights),
            ("text encoder", texts.kind, texts.weights),
        ]
    for role, kind, name in towers:
        if kind == "endpoint":
            yield _entry(f"{role} on a server", role, "that of the server's model", "a server")
        elif is_path(name):
            yield _entry(f"{role} of your own", role, "not known to Zeus", "a file of your own")
        elif name:
            weight = WEIGHTS[name]
            entry = _entry(name, weight.role, str(weight.licence), str(weight.source))
            yield {**entry, "terms": weight.licence.summary}


def _entry(name: str, role: str, licence: str, source: str) -> dict[str, str]:
    return {"name": name, "role": role, "licence": licence, "source": source}


def sequences_of(target: Target) -> dict[str, Any]:
    """The sequences, the id of an image of each, and how to look at them in Slicer."""
    return {
        "names": list(target.sequence_names),
        "images": {name: f"STUDY/{name}" for name in target.sequence_names},
        "in_slicer": "Next Sample opens the study's reference. To open another sequence, switch on"
        " Developer Mode in the MONAI Label settings. Then choose it under Options, activelearning,"
        " first, sequence.",
    }
