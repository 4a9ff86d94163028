"""Weights from the Hugging Face hub.

The hub's own package gives address, token and hash. The download is ours, because that package
(2.4) restarts a download that was killed, which takes hours for a language model of 10 GB. Its
settings are valid here: HF_TOKEN or `hf auth login`, HF_ENDPOINT, HF_HUB_OFFLINE.
"""

import re

from zeus_app.errors import InputError
from zeus_app.weights.download import Count
from zeus_app.weights.entries import Hub, Weight, WeightFile
from zeus_app.weights.folder import folder_of
from zeus_app.weights.urls import Address, fetch_file


def fetch_from_hub(weight: Weight, source: Hub, files: list[WeightFile], count: Count) -> None:
    """Download files of a repository at the commit that the registry names.

    Raises:
        InputError: offline, no such file, no permission, a broken connection, or a wrong hash.
    """
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        raise InputError(
            f"{weight.name} comes from the hub, but HF_HUB_OFFLINE is set",
            expected=weight.describe(),
            remedy=f"unset HF_HUB_OFFLINE, or put the files into {folder_of(weight)} by hand",
        )
    for file in files:
        fetch_file(weight, file, _address(weight, source, file), count)


def _address(weight: Weight, source: Hub, file: WeightFile) -> Address:
    """Address, size and hash of a file. The hub states the SHA-256 of large files alone."""
    import httpx2
    from huggingface_hub import constants, get_hf_file_metadata, get_token, hf_hub_url
    from huggingface_hub.errors import GatedRepoError

    url = hf_hub_url(source.hub, file.path, revision=source.revision)
    try:
        metadata = get_hf_file_metadata(url)
    except GatedRepoError as error:
        raise InputError(
            f"{source.hub} gives its files only to accounts that have agreed to its terms",
            expected=f"a token of such an account ({weight.licence.summary})",
            remedy=f"agree at {constants.ENDPOINT}/{source.hub}, then set HF_TOKEN or run "
            f"`hf auth login`; or put the files into {folder_of(weight)} by hand",
        ) from error
    except (OSError, httpx2.HTTPError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise InputError(
            f"the hub did not give {file.path} of {source.hub}: {reason}",
            expected=weight.describe(file),
            remedy=f"check the network (and HF_ENDPOINT), or put the file into "
            f"{folder_of(weight)} by hand",
        ) from error
    stated = metadata.etag if re.fullmatch("[0-9a-f]{64}", metadata.etag or "") else None
    if file.sha256 and stated and stated != file.sha256:  # refused before gigabytes are downloaded
        raise InputError(
            f"the hub states SHA-256 {stated} for {file.path} of {source.hub}",
            expected=f"SHA-256 {file.sha256}",
            remedy="check HF_ENDPOINT; the hub itself never changes a file of a commit",
        )
    token = get_token()
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return Address(url, metadata.size, file.sha256 or stated, headers)
