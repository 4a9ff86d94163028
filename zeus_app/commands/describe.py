"""`zeus describe`: the modules of a model, with their sizes."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from zeus_app.commands.options import (
    FusionName,
    ModelName,
    ProfileName,
    Settings,
    TargetName,
    checked_conf,
    split_settings,
)
from zeus_app.commands.terminal import print_table

if TYPE_CHECKING:
    from zeus_app.describe import ModelSize
    from zeus_app.protocols import ModuleInfo


def describe(
    target: TargetName = "phantom",
    profile: ProfileName = None,
    model: ModelName = None,
    fusion: FusionName = None,
    sequences: Annotated[
        str | None,
        typer.Option(
            help="Comma-separated sequences of the target to use, for example T1,T2.",
            show_default="all",
        ),
    ] = None,
    instruction: Annotated[
        str | None,
        typer.Option(
            help="Form of the instructions: text, embedding or both.", show_default="text"
        ),
    ] = None,
    settings: Settings = None,
    models: Annotated[
        bool,
        typer.Option(
            "--models", help="List all models instead, with what each trains in each fusion."
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """List a model's modules: trained or frozen, number of parameters. Needs no weights."""
    import json
    from dataclasses import asdict

    from zeus_app.describe import describe as modules_of
    from zeus_app.describe import model_sizes
    from zeus_app.profiles import load_profile
    from zeus_app.settings.config import ZeusConfig
    from zeus_app.targets import target_of

    config = ZeusConfig.from_conf(
        checked_conf(
            target=target,
            profile=profile,
            model=model,
            fusion=fusion,
            sequences=sequences,
            instruction=instruction,
            **split_settings(settings or []),
        )
    )
    described = config, load_profile(config.profile), target_of(config)
    sizes = model_sizes(*described) if models else []
    modules = [] if models else modules_of(*described)
    if as_json:
        typer.echo(json.dumps([asdict(row) for row in sizes or modules], indent=2))
    elif models:
        _print_models(sizes, title=f"trained parameters in millions, target {config.target}")
    else:
        _print_modules(modules, title=f"profile {config.profile}, {config.fusion} fusion")


def _print_models(sizes: "Sequence[ModelSize]", *, title: str) -> None:
    from zeus_app.describe import size_cells

    columns = ["model", "network", "early", "hybrid", "late", "paper: early", "hybrid", "late"]
    print_table(title, columns, [[size.model, size.title, *size_cells(size)] for size in sizes])
    for size in sizes:
        typer.echo(f"{size.title}: {size.note}")


def _print_modules(modules: "Sequence[ModuleInfo]", *, title: str) -> None:
    from zeus_app.types import MIB

    rows = [
        [
            module.symbol,
            module.name,
            module.class_name,
            "yes" if module.trainable else "frozen",
            f"{module.parameters:,}",
            f"{module.memory_bytes / MIB:,.1f}",
        ]
        for module in modules
    ]
    print_table(title, ["symbol", "module", "class", "trained", "parameters", "MiB"], rows)
    never_run = [module.name for module in modules if module.run_before is False]
    if never_run:
        typer.echo(f"Never run with published weights, only tested: {', '.join(never_run)}")
    trained = sum(module.parameters for module in modules if module.trainable)
    typer.echo(f"{trained / 1e6:.2f} M parameters are trained ({trained:,})")
