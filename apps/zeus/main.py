"""The MONAI Label app: gives the server its tasks. It contains no logic of its own."""

from collections.abc import Mapping
from typing import Any

from monailabel.config import settings
from monailabel.interfaces.app import MONAILabelApp
from monailabel.interfaces.tasks.infer_v2 import InferTask, InferType

from infer.clicks import ClickInfer
from infer.draft import DraftInfer
from infer.zeus import ZeusInfer
from trainers.zeus import ZeusTrain
from zeus_app.server.interactive.click_request import BACKGROUND
from zeus_app.server.lifecycle.cpu_priority import lower_priority
from zeus_app.server.lifecycle.start import open_or_exit, serve
from zeus_app.server.studies.chosen_images import USE_IMAGES, choose_images
from zeus_app.server.studies.datastore import StudyDatastore
from zeus_app.server.studies.resolved_image import ResolvedImage
from zeus_app.server.tasks.about import sequences_of
from zeus_app.server.tasks.inference import run_inference, skip_failed
from zeus_app.server.tasks.scoring import DiceScoring
from zeus_app.server.tasks.strategies import FirstUnlabelled, RandomUnlabelled, WithDraft


class ZeusApp(MONAILabelApp):
    """Zeus behind MONAI Label's API. Runs in the server and in its training and scoring processes.

    Attributes:
        context: what all tasks share: settings, datastore, checkpoints, scheduler.
    """

    def __init__(self, app_dir: str, studies: str, conf: Mapping[str, str]) -> None:
        self.context = open_or_exit(studies, conf)
        target = self.context.target
        # By default, MONAI Label keeps sessions in a folder that all servers share.
        sessions = settings.MONAI_LABEL_SESSION_PATH or str(self.context.state.sessions)
        settings.MONAI_LABEL_SESSION_PATH = sessions
        super().__init__(
            app_dir=app_dir,
            studies=studies,
            conf=dict(conf),
            name=f"Zeus - {target.name}",
            description=f"{target.instance} in multi-sequence MRI; not for diagnosis",
            # A list, because OHIF appends to it. Slicer reads the labels of deepedit models here.
            labels=[*self.context.target.label_values, BACKGROUND],
        )
        self._auto_update_scoring = False  # otherwise every click of "Next" starts a process

    def info(self) -> dict[str, Any]:
        """What clients read when they connect, with the sequences and the weights' licences."""
        sequences = sequences_of(self.context.target)
        weights = self._infers[self.context.config.model].weights
        return {**super().info(), "sequences": sequences, "weights": weights}

    def init_datastore(self) -> StudyDatastore:
        """The datastore, whose images are studies instead of files."""
        return self.context.datastore

    def init_infers(self) -> dict[str, InferTask]:
        """The model by its name, and the tasks that answer clicks."""
        ctx = self.context
        return {
            ctx.config.model: ZeusInfer(ctx),
            "clicks": ClickInfer(ctx, InferType.DEEPGROW, dimension=2),
            "clicks_3d": ClickInfer(ctx, InferType.DEEPGROW, dimension=3),
            "edit": ClickInfer(ctx, InferType.DEEPEDIT, dimension=3),
            "scribbles": ClickInfer(ctx, InferType.SCRIBBLES, dimension=3),
            "draft": DraftInfer(ctx),
        }

    def init_trainers(self) -> dict[str, ZeusTrain]:
        """One training task, named after the model."""
        return {self.context.config.model: ZeusTrain(self.context)}

    def init_strategies(self) -> dict[str, Any]:
        """The strategies that choose the next study to label."""
        names = self.context.target.sequence_names
        return {
            "first": FirstUnlabelled(names),
            "random": RandomUnlabelled(names),
            "drafts": WithDraft(names),
        }

    def init_scoring_methods(self) -> dict[str, DiceScoring]:
        """Dice between predictions and final labels."""
        return {"dice": DiceScoring(self.context.target, self.context.checkpoints)}

    def tasks(self, kind: str) -> Mapping[str, Any]:
        """Tasks of one kind by name: model, trainer, strategy or scoring method."""
        tasks: dict[str, Mapping[str, Any]] = {
            "model": self._infers,
            "trainer": self._trainers,
            "strategy": self._strategies,
            "scoring method": self._scoring_methods,
        }
        return tasks[kind]

    def infer(self, request: Mapping[str, Any], datastore: object = None) -> dict[str, Any]:
        """Run a task on the image id `request["image"]`. The stock method also accepts paths."""
        catalogue = self.context.datastore.catalogue
        return self.infer_image(request, catalogue.resolve(str(request.get("image"))))

    def infer_image(self, request: Mapping[str, Any], resolved: ResolvedImage) -> dict[str, Any]:
        """Run a task on an image that is resolved already, with the images the client chose."""
        store, names = self.context.datastore, self.context.target.sequence_names
        chosen = choose_images(resolved, request.get(USE_IMAGES) or {}, names)
        usable = store.catalogue.usable(chosen)
        store.catalogue.fetch(usable)  # now, so that no job waits for a PACS
        answer = run_inference(self.tasks("model"), request, usable, store)
        self.context.results.after_answer(usable, answer)
        return answer

    def batch_infer(self, request: Mapping[str, Any], datastore: object = None) -> dict[str, Any]:
        """Segment many studies; a study that fails is skipped."""
        lower_priority()
        answers: dict[str, Any] = self._batch_infer(
            request, self.context.datastore, skip_failed(self.infer)
        )
        self.context.results.wait()  # this process ends with the batch
        return answers

    def on_init_complete(self) -> None:
        """Start the server's own work. MONAI Label calls this once, before the first request."""
        serve(self.context)
        super().on_init_complete()
