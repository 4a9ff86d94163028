"""Clicks over HTTP, compared with the bare decoder and with encoding again at every click."""

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import requests
import torch
from segment_anything import SamPredictor

from benchmarks.speed.baselines import eight_bit, lite_medsam
from benchmarks.speed.bench import PROFILE, TARGET, Bench
from benchmarks.speed.figures import AIMS, Figure, NotMeasured
from benchmarks.speed.profiles import Rows, of_functions
from benchmarks.speed.synthetic_study import SyntheticStudy
from benchmarks.speed.timing import alternating, ratio, seconds_of
from zeus_app.encoders.lite_medsam import load_prompt_encoder_and_decoder
from zeus_app.server.lifecycle.server_process import ServerProcess
from zeus_app.studies.slices import to_pixels
from zeus_app.types import FloatArray, SliceStack

TASK = "clicks"
LABEL = "tumour"
LIMIT_S = 120
POLL_S = 0.5


def measure_clicks(bench: Bench) -> list[Figure]:
    """click_over_decoder and click_speedup: each click at another voxel of one cached slice."""
    study = bench.study("study")
    server = server_with_clicks(bench, "study")
    stack = bench.stack(study)
    at = study.centre[2]
    pictures = bench.pictures(stack, at)
    embeddings = bench.ours.encode(pictures).astype(np.float32)
    pixel = pixel_of(stack, study.click(0))
    click(server, study, number=0)
    await_prepared(server)  # the click opened the study; from here on it is cached
    bare = {
        f"{len(pictures)} decoder forwards, {kind}, s": bare_forwards(
            bench, embeddings, pixel, half=kind == "bfloat16"
        )
        for kind in ("float32", "bfloat16")
    }
    ours = f"click, {len(pictures)} sequences, s"
    durations = alternating(
        {ours: lambda n: click(server, study, number=n + 1), **bare}, repeats=bench.sizes.clicks
    )
    fastest = min(bare, key=lambda name: float(np.median(durations[name])))
    over = ratio(durations[ours], durations[fastest])
    encode_again = again_each_time(bench, pictures, pixel)
    encoding = [seconds_of(lambda _: encode_again()) for _ in range(bench.sizes.short)]
    reached = AIMS["click_over_decoder"].reached(over)
    return [
        Figure(
            "click_over_decoder",
            over,
            {
                **durations,
                **{
                    f"over {name.removesuffix(', s')}": ratio(durations[ours], durations[name])
                    for name in bare
                },
            },
            note="the figure is over the faster of the two precisions",
            profile=() if reached else functions_of_a_click(bench, study),
        ),
        Figure(
            "click_speedup",
            ratio(encoding, durations[ours]),
            {"encoding again in float32 eager, s": encoding, ours: durations[ours]},
            note="segment-anything's predictor on each sequence, without HTTP, reading or writing",
        ),
    ]


def measure_first_click(bench: Bench) -> list[Figure]:
    """first_click_over_encode: each click on a new study, just after its download opened it."""
    names = [f"opened{n}" for n in range(bench.sizes.short)]
    server = server_with_clicks(bench, "study", *names)
    click(server, bench.study("study"), number=0)  # the first request loads the networks
    await_prepared(server)
    studies = [bench.study(name) for name in names]
    bench.ours.encode(bench.pictures(bench.stack(studies[0]), studies[0].centre[2]))
    # Measured alternately, because the speed of the machine may change.
    seconds = [time_first_clicks(bench, server, study) for study in studies]
    encode, first, second = (list(column) for column in zip(*seconds, strict=True))
    value = ratio(first, encode)
    fine = AIMS["first_click_over_encode"].reached(value)
    return [
        Figure(
            "first_click_over_encode",
            value,
            {
                "first click, s": first,
                "encoding its slices alone, s": encode,
                "second click, s": second,
            },
            note="clicked directly after the download; the server encodes the study meanwhile",
            # Encoding and decoding are measured above. The rest makes the pictures.
            profile=() if fine else of_functions(lambda: bench.stack(studies[0])),
        )
    ]


def time_first_clicks(
    bench: Bench, server: ServerProcess, study: SyntheticStudy
) -> tuple[float, float, float]:
    """Seconds of: encoding the slice here, the first click on a study, the second click.

    The server is idle before, and has finished its background encoding afterwards.
    """
    pictures = bench.pictures(bench.stack(study), study.centre[2])
    encode = seconds_of(lambda _: bench.ours.encode(pictures))
    open_study(server, study)
    first = seconds_of(lambda _: click(server, study, number=0))
    second = seconds_of(lambda _: click(server, study, number=1))
    await_prepared(server)
    return encode, first, second


def server_with_clicks(bench: Bench, *studies: str) -> ServerProcess:
    """The shared server with these studies.

    Raises:
        NotMeasured: the server has no task for clicks.
    """
    server = bench.serving(*studies)
    models = server.client.info()["models"]
    if TASK not in models:
        raise NotMeasured(f"the server has no task {TASK!r}, only {', '.join(models)}")
    return server


def click(server: ServerProcess, study: SyntheticStudy, *, number: int) -> bytes:
    """One foreground click on the middle slice, as 3D Slicer sends it. Returns the mask file."""
    response = requests.post(
        f"{server.url}/infer/{TASK}",
        params={"image": study.name, "output": "image"},
        data={"params": json.dumps(_params(study, number))},
        timeout=LIMIT_S,
    )
    if not response.ok:
        raise NotMeasured(f"a click was answered {response.status_code}: {response.text[:300]}")
    mask: bytes = response.content
    return mask


def await_prepared(server: ServerProcess) -> None:
    """Wait until the background encoding has finished.

    Raises:
        NotMeasured: it takes too long.
    """
    deadline = time.monotonic() + LIMIT_S
    while server.get("/zeus/progress")["preparing"]:
        if time.monotonic() > deadline:
            raise NotMeasured(f"the server still prepares studies after {LIMIT_S} s")
        time.sleep(POLL_S)


def open_study(server: ServerProcess, study: SyntheticStudy) -> None:
    """Download the study's image, as a client does before anybody clicks."""
    requests.get(
        f"{server.url}/datastore/image", params={"image": study.name}, timeout=LIMIT_S
    ).raise_for_status()


def functions_of_a_click(bench: Bench, study: SyntheticStudy) -> Rows:
    """Where a click's time goes inside the server's task, which is run in this process for it."""
    # Here, because a server's imports are not needed for anything else.
    from monailabel.interfaces.tasks.infer_v2 import InferType

    from infer.clicks import ClickInfer
    from zeus_app.server.context import open_context

    conf = {"target": TARGET, "profile": PROFILE, "state": str(bench.folder / "learn")}
    context = open_context(str(bench.folder / "studies"), conf)
    task = ClickInfer(context, InferType.DEEPGROW, dimension=2)

    def click_number(number: int) -> None:
        file, _ = task({"image": study.name, **_params(study, number)})
        Path(file).unlink()

    click_number(0)  # encodes the slice
    return of_functions(lambda: click_number(1))


def pixel_of(stack: SliceStack, voxel: Sequence[int]) -> FloatArray:
    """(1, 2) x and y of a voxel in the 256 px picture. The studies lie on a canonical grid."""
    _, row, col = to_pixels(np.array([voxel], np.float64), stack.frame)[0]
    return np.array([[col, row]], np.float32)


@torch.inference_mode()
def _prompted(bench: Bench, pixel: FloatArray) -> tuple[torch.Tensor, ...]:
    prompts, _ = load_prompt_encoder_and_decoder(bench.weights)
    points = (torch.from_numpy(pixel)[None], torch.ones(1, 1, dtype=torch.int))
    return (*prompts(points=points, boxes=None, masks=None), prompts.get_dense_pe())


def bare_forwards(
    bench: Bench, embeddings: FloatArray, pixel: FloatArray, *, half: bool
) -> Callable[[int], None]:
    """LiteMedSAM's decoder alone, one forward pass per embedding."""
    _, decoder = load_prompt_encoder_and_decoder(bench.weights)
    sparse, dense, pe = _prompted(bench, pixel)
    batch = torch.from_numpy(embeddings)

    @torch.inference_mode()
    def run(_: int) -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            for embedding in batch:
                decoder(
                    image_embeddings=embedding[None],
                    image_pe=pe,
                    sparse_prompt_embeddings=sparse,
                    dense_prompt_embeddings=dense,
                    multimask_output=False,
                )

    return run


def again_each_time(bench: Bench, pictures: FloatArray, pixel: FloatArray) -> Callable[[], None]:
    """A click by segment-anything's predictor, which encodes every sequence first."""
    predictor = SamPredictor(lite_medsam(bench.weights))

    def run() -> None:
        for picture in pictures:
            predictor.set_image(eight_bit(picture))
            predictor.predict(pixel, np.ones(1), multimask_output=False)

    return run


def _params(study: SyntheticStudy, number: int) -> dict[str, object]:
    return {"foreground": [study.click(number)], "background": [], "label": LABEL}
