"""How Zeus reaches a PACS: settings, and the credentials, which are never settings.

A command line is seen by every user of the machine, and logs hold it. So a password comes from an
environment variable, or from a file that a setting names.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from pydantic import BaseModel, Field

from zeus_app.errors import InputError

USER, PASSWORD, TOKEN = "ZEUS_PACS_USER", "ZEUS_PACS_PASSWORD", "ZEUS_PACS_TOKEN"
"""Environment variables with the credentials."""
_IN_FILE = {"user": USER, "password": PASSWORD, "token": TOKEN}
PACS_MIB = 20_480
"""Default size limit of the downloaded series, in MiB."""
SECRETS = frozenset(f"pacs_{key}" for key in _IN_FILE)
"""Names that a user may take for settings."""


class PacsSettings(BaseModel):
    """The settings that a server of a PACS has besides the others."""

    pacs_credentials: Path | None = Field(
        None,
        description="file with the lines user=... and password=..., or token=..., that only its"
        f" owner may read; empty: the environment variables {USER}, {PASSWORD} and {TOKEN}",
    )
    pacs_ca: Path | None = Field(
        None,
        description="PEM file with the certificates that sign the PACS's own; empty: the"
        " authorities that certifi lists",
    )
    pacs_client_certificate: Path | None = Field(
        None,
        description="PEM file with the certificate and key by which the PACS knows Zeus",
    )
    pacs_timeout_s: float = Field(
        60, gt=0, description="seconds without a byte from the PACS after which a request fails"
    )
    pacs_mib: int = Field(
        PACS_MIB,
        gt=0,
        description="size limit of the downloaded series, in MiB; the oldest unused are removed",
    )
    pacs_write: bool = Field(
        False,
        description="whether results (DICOM SEG and SR) are sent to the PACS; false: nothing is"
        " written to it",
    )
    pacs_viewer_write: bool = Field(
        False,
        description="whether viewers may store DICOM files in the PACS through this server, as OHIF"
        " does when a user exports a segmentation",
    )
    pacs_labels: bool = Field(
        True,
        description="whether DICOM SEGs that users store in the PACS become final labels, as those"
        " that a user exports from OHIF",
    )
    pacs_label_creators: str = Field(
        "",
        description="content creators, separated by commas, whose DICOM SEGs are labels even if a"
        " program made them",
    )
    pacs_filter: str = Field(
        "",
        description="what the listed studies must match besides having MR, in words of QIDO-RS, for"
        " example StudyDescription=*prostate*&StudyDate=20240101-; empty: all MR studies",
    )
    pacs_changes: str = Field(
        "auto",
        pattern=r"^(auto|off|https?://[^@]+)$",
        description="address of Orthanc's /changes, for example http://127.0.0.1:8042/changes;"
        " auto: asked for above dicom-web; off: the PACS is asked for its list alone",
    )

    @property
    def filters(self) -> dict[str, str]:
        """Keyword -> value, of `pacs_filter`. Raises InputError if it is not of this form."""
        try:
            return dict(parse_qsl(self.pacs_filter, strict_parsing=bool(self.pacs_filter)))
        except ValueError as error:
            raise InputError(
                f"setting pacs_filter={self.pacs_filter!r}",
                expected="KEYWORD=VALUE, and & between several",
                remedy="write for example pacs_filter=StudyDescription=*prostate*",
            ) from error


@dataclass(frozen=True)
class PacsAccess:
    """The address of a PACS, and how Zeus may use it.

    Attributes:
        url: root of its DICOMweb services, without credentials.
        settings: the settings of the server.
        filters: keyword -> value that all listed studies must match.
        user, password, token: the credentials; empty without any.
    """

    url: str
    settings: PacsSettings
    filters: Mapping[str, str] = field(default_factory=dict)
    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)


def is_pacs(studies: str) -> bool:
    """Whether the place of the studies is an address and no folder."""
    return "://" in studies


def pacs_access(
    url: str, settings: PacsSettings, environment: Mapping[str, str] = os.environ
) -> PacsAccess:
    """Check the address and read the credentials.

    Args:
        url: what the user gave instead of a studies folder.
        settings: the settings of the server.
        environment: holds the credentials that no file holds.

    Raises:
        InputError: the address is none of DICOMweb, or holds credentials; or a file of the settings
            cannot be read, or others may read the credentials.
    """
    checked = _checked_url(url)
    filters = settings.filters
    for name in ("pacs_ca", "pacs_client_certificate"):
        if path := getattr(settings, name):
            _refuse_unreadable(name, path)
    secrets = {**environment, **_secrets_of(settings.pacs_credentials)}
    user, password, token = (secrets.get(name, "") for name in (USER, PASSWORD, TOKEN))
    return PacsAccess(checked, settings, filters, user=user, password=password, token=token)


def refuse_secrets(conf: Mapping[str, object]) -> None:
    """Refuse credentials among the settings of a command line. Raises InputError."""
    if given := sorted(SECRETS & conf.keys()):
        raise InputError(
            f"{given[0]} on the command line, which other users can read",
            expected=f"the environment variables {USER}, {PASSWORD} or {TOKEN}",
            remedy=f"set {_IN_FILE[given[0].removeprefix('pacs_')]}, or write a file and name it"
            " with pacs_credentials; then change the password, because a log may hold it",
        )


def _checked_url(url: str) -> str:
    try:
        parts = urlsplit(url.strip())
        has_host = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        parts, has_host = urlsplit(""), False
    if "@" in parts.netloc:
        raise InputError(
            f"an address of a PACS with credentials, at {parts.hostname}",
            expected="an address without a user and a password: logs hold the address",
            remedy=f"set the environment variables {USER} and {PASSWORD}, and start with"
            f" {parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}; then change the"
            " password, because a log may hold it",
        )
    if parts.scheme not in {"http", "https"} or not has_host or parts.query or parts.fragment:
        raise InputError(
            f"studies at {parts.scheme or 'an address'}://{parts.netloc.rpartition('@')[2]}",
            expected="a folder, or the DICOMweb address of a PACS",
            remedy="start for example with --studies http://127.0.0.1:8042/dicom-web",
        )
    return url.strip().rstrip("/")


def _secrets_of(path: Path | None) -> dict[str, str]:
    """Environment variable -> value, for each line of the file of credentials."""
    if path is None:
        return {}
    _refuse_unreadable("pacs_credentials", path)
    if path.stat().st_mode & 0o077:
        raise InputError(
            f"pacs_credentials={path}, which other users may read",
            expected="a file with the mode 0600",
            remedy=f"run chmod 600 {path}",
        )
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    pairs = [tuple(map(str.strip, line.partition("=")[::2])) for line in lines]
    if not pairs or any(name not in _IN_FILE or not value for name, value in pairs):
        raise InputError(
            f"pacs_credentials={path} with a line that is no credential",
            expected="the lines user=... and password=..., or token=...",
            remedy="write each on a line of its own, without quotes",
        )
    return {_IN_FILE[name]: value for name, value in pairs}


def _refuse_unreadable(name: str, path: Path) -> None:
    try:
        with path.open("rb") as file:
            file.read(1)
    except OSError as error:
        raise InputError(
            f"setting {name}={path}: {error.strerror}",
            expected="a file that Zeus may read",
            remedy="check the path",
        ) from error
