"""The server over HTTP: inference of studies, and requests while the server is busy."""

import statistics
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import diskcache
import requests

from benchmarks.speed.bench import Bench
from benchmarks.speed.clicks import await_prepared, click
from benchmarks.speed.figures import AIMS, Figure, NotMeasured
from benchmarks.speed.profiles import of_stages
from benchmarks.speed.synthetic_study import SyntheticStudy
from benchmarks.speed.timing import percentile, ratio, seconds_of
from zeus_app.server.lifecycle.server_process import ServerProcess
from zeus_app.storage.pins import EVICTION_POLICY

GETS_A_SECOND = 10
TRAIN_S = 600
"""Longer than the measurement, which stops the training at its end."""
PATIENCE_S = 180
POLL_S = 0.5


def forget_embeddings(cache: Path) -> int:
    """Remove all image embeddings from a cache, but no texts. Returns their number."""
    with diskcache.Cache(str(cache), eviction_policy=EVICTION_POLICY) as entries:
        keys = [key for key in entries if str(key).startswith("image-")]
        for key in keys:
            del entries[key]
    return len(keys)


def measure_study(bench: Bench) -> list[Figure]:
    """study_over_encode: inference with cached texts and without cached embeddings."""
    study = bench.study("study")
    stack = bench.stack(study)
    pictures = bench.pictures(stack)
    warm_up = bench.study("warm-up", slices=1)
    server = bench.serving(study.name, warm_up.name)
    server.infer(warm_up.name)  # the first request loads every network
    new = server.infer(study.name).seconds
    durations, encode = [], []
    stages: dict[str, float] = {}
    bench.ours.encode(pictures[:1])
    for _ in range(bench.sizes.short):
        study.touch()
        if not forget_embeddings(bench.server_cache):
            raise NotMeasured("the server keeps no embeddings on disk that could be forgotten")
        answer = server.infer(study.name)
        durations.append(answer.seconds)
        stages = dict(answer.params["latencies_ms"])
        encode.append(seconds_of(lambda _: bench.ours.encode(pictures)))
    warm = []
    for _ in range(bench.sizes.long):
        study.touch()
        warm.append(server.infer(study.name).seconds)
    repeated = [server.infer(study.name).seconds for _ in range(bench.sizes.long)]
    over = ratio(durations, encode)
    return [
        Figure(
            "study_over_encode",
            over,
            {
                "whole study, s": durations,
                "encoding alone, s": encode,
                "slices": len(pictures),
                "writing the texts, s": new - statistics.median(durations),
                "everything kept, s": warm,
            },
            profile=(
                ()
                if AIMS["study_over_encode"].reached(over)
                else of_stages(stages, whole_s=durations[-1])
            ),
        ),
        Figure(
            "repeated_inference_s",
            statistics.median(repeated),
            {"repeated, s": repeated, "files read again, s": warm},
            note="the same inference again. Other repetitions change the files' times first, so"
            " that the study is read, aligned and decoded again",
        ),
    ]


def measure_info(bench: Bench) -> list[Figure]:
    """info_p95_ms_busy: GET /info during the inference of a new study and a training.

    Also measured: the same clicks before this training and during it, without other work.
    """
    learnt, busy = bench.study("study"), bench.study("busy")
    server, clicks = bench.serving(learnt.name, busy.name), bench.sizes.clicks
    server.infer(learnt.name)  # caches its texts and embeddings
    click(server, learnt, number=0)
    await_prepared(server)
    idle = [seconds_of(lambda n: click(server, learnt, number=n), n) for n in range(clicks)]
    server.client.save_label(learnt.name, str(learnt.label), params={})
    server.client.train_start(
        server.model,
        {"time_budget_s": TRAIN_S, "validation_fraction": 0, "batch_slices": 4, "epochs": 10**6},
    )
    try:
        _await_first_step(server)
        inference = threading.Thread(target=_infer_quietly, args=(server.url, server.model, busy))
        inference.start()
        time.sleep(1)
        waits = poll_info(server.url, count=bench.sizes.gets)
        overlapped = inference.is_alive() and _trains(server)
        cancel(server, busy.name)
        inference.join(PATIENCE_S)
        during = [seconds_of(lambda n: click(server, learnt, number=n), n) for n in range(clicks)]
        trained = _trains(server)
    finally:
        server.client.train_stop()
    return [
        Figure(
            "info_p95_ms_busy",
            percentile(waits, 0.95),
            {
                "median, ms": statistics.median(waits),
                "longest, ms": max(waits),
                "requests": len(waits),
            },
            note=(
                f"{GETS_A_SECOND} a second, each on time whether or not the last was answered; "
                + (
                    "both ran until the end"
                    if overlapped
                    else "one of the two ENDED BEFORE the requests"
                )
            ),
        ),
        Figure(
            "click while a training runs / click alone",
            ratio(during, idle),
            {"click while a training runs, s": during, "click alone, s": idle},
            note="it ran until the end" if trained else "the training ENDED BEFORE the clicks",
        ),
    ]


def poll_info(url: str, *, count: int) -> list[float]:
    """Milliseconds of each GET. They are sent at a fixed rate, also while others wait."""

    def get(_: int) -> float:
        began = time.perf_counter()
        requests.get(f"{url}/info/", timeout=PATIENCE_S).raise_for_status()
        return 1000 * (time.perf_counter() - began)

    began = time.perf_counter()
    with ThreadPoolExecutor(max_workers=count) as threads:
        waiting = []
        for number in range(count):
            time.sleep(max(0.0, began + number / GETS_A_SECOND - time.perf_counter()))
            waiting.append(threads.submit(get, number))
        return [future.result() for future in waiting]


def cancel(server: ServerProcess, study: str) -> None:
    """Cancel a study's inferences, if there are any."""
    requests.delete(f"{server.url}/zeus/infer/{study}", timeout=60)


def _infer_quietly(url: str, model: str, study: SyntheticStudy) -> None:
    """An inference that may be cancelled."""
    requests.post(f"{url}/infer/{model}?image={study.name}&output=json", timeout=10 * PATIENCE_S)


def _trains(server: ServerProcess) -> bool:
    return bool(server.get("/zeus/progress")["training"]["running"])


def _await_first_step(server: ServerProcess) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        at: dict[str, Any] = server.get("/zeus/progress")["training"]
        if at.get("stage") == "training":
            return
        time.sleep(POLL_S)
    raise NotMeasured(f"no training step within {PATIENCE_S} s: {server.last_lines(3)}")
