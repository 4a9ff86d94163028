"""The training task behind POST /train/zeus: from submitted labels to a checkpoint."""

from collections.abc import Mapping
from functools import cached_property, partial
from typing import Any

from monailabel.interfaces.tasks.train import TrainTask
from pydantic_core import to_jsonable_python

from zeus_app.errors import InputError
from zeus_app.pipeline.plugins import learner_of
from zeus_app.profiles import load_profile
from zeus_app.profiles.fitting import refuse_idle_lora
from zeus_app.server.context import ServerContext
from zeus_app.server.jobs.train_progress import TrainProgress
from zeus_app.server.lifecycle.cpu_priority import lower_priority
from zeus_app.server.studies.datastore import StudyDatastore
from zeus_app.server.studies.labelled import labelled_studies
from zeus_app.server.tasks.train_request import train_config, train_defaults
from zeus_app.settings.registry import lookup


class ZeusTrain(TrainTask):
    """Trains the model that the server was started with."""

    def __init__(self, context: ServerContext) -> None:
        super().__init__(f"Learn {context.target.instance} from submitted labels")
        self._ctx = context

    @cached_property
    def _learner(self) -> str:
        # Not in __init__: the start reports a plugin that cannot be imported.
        return learner_of(self._ctx.config)

    def config(self) -> dict[str, Any]:
        """The request's parameters with their defaults."""
        return train_defaults(self._learner)

    def stats(self) -> dict[str, Any]:
        """The served checkpoint, under the keys that MONAI Label's clients read."""
        served = self._ctx.checkpoints.served()
        if served is None:
            return {"checkpoint": "untrained"}
        return {
            "checkpoint": served.version,
            "best_metric": served.score or 0.0,
            "validated": served.score is not None,
            "epoch": served.epoch,
            "total_time": round(served.seconds, 1),
            "studies": len(served.studies),
            "created": served.created,
        }

    def check(self, request: Mapping[str, Any]) -> None:
        """Refuse a request whose training would fail.

        Raises:
            InputError: an unknown setting or study, settings that contradict each other, or no
                label to learn from.
        """
        studies = {study: study for study in self._ctx.datastore.list_images()}
        recipe, config = train_config(request, self._learner), self._ctx.config
        for study in recipe.excluded:
            lookup("study to exclude", study, studies)
        if config.model == "zeus":
            refuse_idle_lora(config, load_profile(config.profile), recipe)
        if not self._ctx.datastore.get_labeled_images():
            raise InputError(
                "a training without labels",
                expected="at least one study with a final label",
                remedy="submit labels first (PUT /datastore/label)",
            )

    def __call__(self, request: Mapping[str, Any], datastore: StudyDatastore) -> dict[str, Any]:
        """Train on all final labels. The next inference uses the best weights."""
        self.check(request)
        lower_priority()
        ctx, config = self._ctx, train_config(request, self._learner)
        studies = labelled_studies(datastore, ctx.target)
        progress = TrainProgress(ctx.state.training, config, show=partial(print, flush=True))
        result = ctx.segmenter.fit(studies, config, report=progress.stage, progress=progress.epoch)
        summary: dict[str, Any] = to_jsonable_python(result)
        return summary
