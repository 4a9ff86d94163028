"""Options that several commands share, and the settings that they make."""

from pathlib import Path
from typing import Annotated

import typer

from zeus_app.errors import InputError

StudiesFolder = Annotated[str, typer.Argument(help="Folder of studies. Zeus never writes to it.")]
StudiesPlace = Annotated[
    str,
    typer.Argument(
        help="Folder of studies, or DICOMweb address of a PACS, for example"
        " http://127.0.0.1:8042/dicom-web. Zeus writes to neither unless a setting says so."
    ),
]
TargetName = Annotated[
    str,
    typer.Option(
        "--target",
        help="Name of a shipped target, for example prostate, or path of a target's YAML file.",
    ),
]
ProfileName = Annotated[
    str | None,
    typer.Option(
        "--profile",
        help="Set of frozen towers: name of a shipped profile, or path of a YAML file.",
        show_default="reference-small",
    ),
]
ModelName = Annotated[
    str | None,
    typer.Option(
        "--model",
        help="zeus, or a network to compare with; zeus describe --models lists all.",
        show_default="zeus",
    ),
]
FusionName = Annotated[
    str | None,
    typer.Option(
        "--fusion",
        help="How sequences are combined: hybrid, late, or early (not for zeus).",
        show_default="hybrid",
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Any other setting, for example --set union=mean. May be given several times.",
    ),
]
StateFolder = Annotated[
    Path | None,
    typer.Option(
        "--state",
        help="Folder for labels, checkpoints and caches.",
        show_default="a folder in ~/.local/share/zeus, named after the studies folder",
    ),
]


def checked_conf(**options: object) -> dict[str, str]:
    """The given options as a server's --conf carries them; None stands for "not given".

    Raises:
        InputError: a setting is unknown or has a bad value, or there is no such target.
    """
    from zeus_app.settings.config import ZeusConfig
    from zeus_app.targets import load_target

    conf = {key: str(value) for key, value in options.items() if value is not None}
    load_target(ZeusConfig.from_conf(conf).target)
    return conf


def split_settings(settings: list[str]) -> dict[str, str]:
    """["KEY=VALUE", ...] -> {KEY: VALUE, ...}.

    Raises:
        InputError: an item has no "=".
    """
    for setting in settings:
        if "=" not in setting:
            raise InputError(
                f"setting {setting!r}",
                expected="KEY=VALUE",
                remedy="write the value after an equals sign, for example --set union=mean",
            )
    return dict(setting.split("=", 1) for setting in settings)
