"""Headers of NRRD and MetaImage files that lack the line which says where the voxels lie."""


def nrrd_header(sizes: str) -> str:
    """A NRRD header of uint8 voxels, without its end.

    Args:
        sizes: of the three axes, for example "8 8 8".
    """
    return f"""NRRD0004
type: uint8
dimension: 3
space: left-posterior-superior
sizes: {sizes}
space directions: (1,0,0) (0,1,0) (0,0,1)
space origin: (0,0,0)
encoding: raw
"""


def meta_header(sizes: str) -> str:
    """The same of a MetaImage file, without ElementDataFile."""
    return f"""ObjectType = Image
NDims = 3
DimSize = {sizes}
ElementType = MET_UCHAR
"""
