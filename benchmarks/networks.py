"""Write the tables of docs/networks.md: trained parameters beside the paper's, and recipes.

    python -m benchmarks.networks

No weights are needed, and nothing is trained. The parameters are counted for the three sequences
and four labels of the target abdomen, which is the paper's CHAOS.
"""

from pathlib import Path

from zeus_app.baselines.registry import NETWORKS
from zeus_app.describe import ModelSize, model_sizes, size_cells
from zeus_app.profiles import load_profile
from zeus_app.reporting.marked_pages import replace_between_marks, table
from zeus_app.settings.config import ZeusConfig
from zeus_app.settings.recipes import network_recipe, with_recipe
from zeus_app.targets import load_target

PAGE = Path(__file__).parents[1] / "docs" / "networks.md"
TARGET = "abdomen"
SHOWN = ("learning_rate", "weight_decay", "batch_slices", "augment", "intensity")
"""Fields of `TrainConfig` in the table of recipes."""


def parameters() -> str:
    """The table of trained parameters, and what explains each difference."""
    config = ZeusConfig(target=TARGET)
    sizes = model_sizes(config, load_profile(config.profile), load_target(TARGET))
    fusions = ["early", "hybrid", "late"]
    head = ["network", *fusions, *(f"paper: {fusion}" for fusion in fusions)]
    body = [[f"{size.title} (`{size.model}`)", *size_cells(size)] for size in sizes]
    return "\n".join([*table(head, body), "", *map(_note, sizes)])


def recipes() -> str:
    """The table of recipes."""
    head = ["model", *(f"`{name}`" for name in SHOWN), "tuned", "source"]
    body = []
    for name in NETWORKS:
        recipe, config = network_recipe(name), with_recipe({}, name)
        values = [f"{getattr(config, field):g}" for field in SHOWN]
        tuned = "yes" if recipe.tuned else "not yet"
        body.append([f"`{name}`", *values, tuned, recipe.source])
    return "\n".join(table(head, body))


def _note(size: ModelSize) -> str:
    return f"- **{size.title}**: {size.note}."


def write(page: Path = PAGE) -> None:
    """Put both tables between their marks."""
    replace_between_marks(page, "parameters", parameters())
    replace_between_marks(page, "recipes", recipes())


if __name__ == "__main__":
    write()
