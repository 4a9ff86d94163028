"""The answer to an inference as DICOM SEG."""

import os
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from zeus_app.dicom.report.texts import person_name
from zeus_app.dicom.segmentation.writing import Authorship, write_segmentation
from zeus_app.errors import InputError
from zeus_app.labels.files import read_label
from zeus_app.server.studies.local_series import is_series, local_series
from zeus_app.server.studies.resolved_image import ResolvedImage
from zeus_app.targets import Target
from zeus_app.types import Volume, VolumeSource


def refuse_other_files(image: ResolvedImage) -> None:
    """Refuse an image that a DICOM SEG cannot refer to. Raises InputError."""
    if image.files.study_uid and is_series(image.source):
        return
    raise InputError(
        f"output=dicom_seg for {image.image_id!r}, whose files are no DICOM",
        expected="a DICOM series, because a SEG refers to its images",
        remedy="send output=image, or output=all; the mask then is a file in the format of"
        " result_extension",
    )


def write_dicom_answer(
    mask: Path,
    image: ResolvedImage,
    params: Mapping[str, Any],
    target: Target,
    *,
    keep_empty_frames: bool = False,
    refer_to_all_series: bool = False,
    user: str = "",
) -> Path:
    """Write the mask of an answer as DICOM SEG, to a new temporary file.

    Args:
        mask: the answer's file.
        image: the image that the mask is for.
        params: the parameters of the answer.
        target: the labels.
        keep_empty_frames: see `write_segmentation`.
        refer_to_all_series: refer to all series that the mask was made from, not to the requested
            one alone.
        user: name of the user who is logged in; empty without a log-in.

    Raises:
        InputError: the image is no DICOM series, or its files cannot be used.
        PacsError: the PACS does not send the whole series.
    """
    refuse_other_files(image)
    label = read_label(mask)
    others = _others(image, params) if refer_to_all_series else []
    with ExitStack() as files:
        segmentation = write_segmentation(
            Volume(label.array.astype(np.uint8), label.affine_ras),
            target=target,
            reference=files.enter_context(local_series(image.source)),
            authorship=_authorship(params, user),
            others=[files.enter_context(local_series(other)) for other in others],
            keep_empty_frames=keep_empty_frames,
        )
    handle, name = tempfile.mkstemp(prefix="zeus-", suffix=".dcm")
    with os.fdopen(handle, "wb") as file:
        segmentation.save_as(file, write_like_original=False)
    return Path(name)


def _authorship(params: Mapping[str, Any], user: str) -> Authorship:
    """Models name their checkpoint in the answer; clicks and drafts are made with a person."""
    if "checkpoint" in params:
        return Authorship("AUTOMATIC", algorithm_version=f"checkpoint {params['checkpoint']}")
    return Authorship("SEMIAUTOMATIC", creator=person_name(user) if user else "")


def _others(image: ResolvedImage, params: Mapping[str, Any]) -> list[VolumeSource]:
    """The other series that the mask was made from, as the answer names them."""
    sources = image.files.sources
    used = params.get("used") or params.get("sequences") or list(sources)
    return [
        source
        for name, source in sources.items()
        if name in used and source != image.source and is_series(source)
    ]
