"""The sections "weights" and "encoder runtime": which are here, hash, licence, the choice."""

import json
from pathlib import Path

from zeus_app.commands.doctor.probe_process import Probe
from zeus_app.commands.doctor.sections import Section


def fill_weights(section: Section) -> None:
    """Every weight on disk and those of the default profile, with hash, licence and source."""
    from zeus_app.weights import WEIGHTS, is_here

    section.facts["folder"] = weights_place()
    shown = [weight.name for weight in WEIGHTS.values() if weight.default or is_here(weight.name)]
    for name in shown:
        _add_weight(section, name)
    section.facts["others"] = f"{len(WEIGHTS) - len(shown)} are not here (zeus weights list)"


def weights_place() -> str:
    """Where the weights lie, in words that name no folder of the user."""
    import os

    return "the one that ZEUS_WEIGHTS names" if os.environ.get("ZEUS_WEIGHTS") else "the default"


def _add_weight(section: Section, name: str) -> None:
    from zeus_app.errors import InputError
    from zeus_app.weights import WEIGHTS, State, state_of, weights_folder
    from zeus_app.weights.folder import how_to_get

    weight = WEIGHTS[name]
    try:
        state = state_of(name)
    except InputError as error:
        section.problem(f"{name}: {error.came}", error.remedy)
        return
    files = (weights_folder() / name / file.name for file in weight.files)
    size = sum(path.stat().st_size for path in files if path.is_file())
    section.facts[name] = (
        f"{state.value}; {size / 1e6:.1f} MB; licence {weight.licence}; from {weight.source}"
    )
    if state in (State.MISSING, State.DAMAGED):
        section.problem(f"the weights {name} are {state.value}", how_to_get(weight))


def fill_runtime(section: Section, probe: Probe) -> None:
    """The runtime of the image encoder that was measured on this machine, and its speed."""
    from zeus_app.weights import weights_folder

    records = sorted(weights_folder().glob("*/*-runtime-*.json"))
    here = [path for path in records if path.stem.endswith(f"-runtime-{probe.runtime_key}")]
    if probe.gpu:
        section.facts["chosen"] = "PyTorch on the GPU; nothing is measured there"
        return
    if not probe.runtime_key:
        section.facts["chosen"] = "unknown, because Zeus cannot be imported"
        return
    for path in here:
        _add_choice(section, path)
    if not here:
        section.facts["chosen"] = "not measured yet; the first start measures, in about a minute"
    if others := len(records) - len(here):
        section.facts["measured elsewhere"] = f"{others} (other versions or machines)"


def _add_choice(section: Section, path: Path) -> None:
    remedy = f"remove it: rm {path}; the next start, or `zeus runtime`, measures again"
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        chosen, measured = str(record["chosen"]), list(record["measured"])
        seconds = {str(each["name"]): each["seconds"] for each in measured}
        failed = {str(each["name"]): str(each["why_not"]) for each in measured}
    except (OSError, ValueError, KeyError, TypeError) as error:
        section.problem(f"the record {path.name} cannot be read: {error}", remedy)
        return
    section.facts[f"{path.parent.name}: chosen"] = chosen
    section.facts[f"{path.parent.name}: seconds a slice"] = ", ".join(
        f"{name} {time:.2f}" for name, time in seconds.items() if time is not None
    )
    for name, time in seconds.items():
        if time is None:
            section.facts[f"{path.parent.name}: {name} does not run"] = failed[name]
