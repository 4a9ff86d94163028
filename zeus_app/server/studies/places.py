"""Where studies are: in a folder of this machine, or in a PACS."""

from pathlib import Path
from urllib.parse import urlsplit

from zeus_app.dicom.web.client import DicomWeb
from zeus_app.server.pacs.catalogue import PacsCatalogue
from zeus_app.server.pacs.search import PacsSearch
from zeus_app.server.studies.catalogue import Catalogue
from zeus_app.server.studies.study_search import StudySearch
from zeus_app.settings.pacs import PacsSettings, is_pacs, pacs_access
from zeus_app.storage.state import StateFolder
from zeus_app.targets import Target

Place = Path | DicomWeb


def place_of(studies: str, settings: PacsSettings) -> Place:
    """The place that a command line names. Nothing is asked or read.

    Raises:
        InputError: the address is none of DICOMweb, or holds credentials.
    """
    return DicomWeb(pacs_access(studies, settings)) if is_pacs(studies) else Path(studies)


def folder_for(place: Place) -> Path:
    """The studies folder; for a PACS a path that need not exist, to name its state folder after."""
    if isinstance(place, Path):
        return place
    parts = urlsplit(place.url)
    return Path("/pacs") / parts.netloc.replace(":", "-") / parts.path.strip("/")


def studies_at(
    place: Place, target: Target, state: StateFolder, *, max_voxels: int, pacs_mib: int
) -> tuple[Catalogue, StudySearch]:
    """The catalogue of a place, and what finds its studies.

    Args:
        place: a folder or a PACS.
        target: the sequences.
        state: the state folder.
        max_voxels: most voxels of an upload.
        pacs_mib: size limit of downloaded series, in MiB.
    """
    if isinstance(place, Path):
        catalogue = Catalogue(place, target, state, max_voxels=max_voxels)
        return catalogue, StudySearch(catalogue, place, state.root)
    of_pacs = PacsCatalogue(place, target, state, max_voxels=max_voxels, pacs_mib=pacs_mib)
    return of_pacs, PacsSearch(of_pacs, state)
