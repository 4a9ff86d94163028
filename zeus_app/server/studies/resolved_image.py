"""The image that a client's request is about."""

from dataclasses import dataclass, replace

from zeus_app.types import StudyFiles, VolumeSource


@dataclass(frozen=True)
class ResolvedImage:
    """The study and the image that an image id names.

    Attributes:
        files: the files of the whole study.
        sequence: the named sequence, or the study's reference.
        whole: True if the id named the study, False if it named one image.
        is_temporary: True for the files of a session or of a single request.
        series: Series Instance UID of the image that the client sees, if this image is no sequence
            of the target; else empty.
    """

    files: StudyFiles
    sequence: str
    whole: bool
    is_temporary: bool
    series: str = ""

    @property
    def study(self) -> str:
        """The study's id."""
        return self.files.id

    @property
    def shown(self) -> str:
        """Name of the image that the client sees: a sequence, or a Series Instance UID."""
        return self.series or self.sequence

    @property
    def image_id(self) -> str:
        """The id that names this image: `study`, `study/sequence` or `study/series`."""
        return self.study if self.whole else f"{self.study}/{self.shown}"

    @property
    def source(self) -> VolumeSource:
        """The image that the client sees. Its grid is that of the answer."""
        return self.sources[self.shown]

    @property
    def sources(self) -> dict[str, VolumeSource]:
        """Name -> source, of every image on whose grid a client may draw; sequences come first."""
        return {**self.files.sources, **self.files.series}

    def showing(self, name: str) -> "ResolvedImage":
        """The same study, seen through another image: a key of `sources`."""
        if name in self.files.sources:
            return replace(self, sequence=name, series="")
        return replace(self, series=name)
