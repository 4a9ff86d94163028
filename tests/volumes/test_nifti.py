"""NIfTI and MGH headers: units, content, and what a reader could take for something else."""

import gzip
import struct
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import numpy.typing as npt
import pytest
import SimpleITK as sitk
from nibabel.cifti2 import Cifti2Image
from nibabel.cifti2.cifti2_axes import BrainModelAxis, ScalarAxis

from tests.studies.tiny_files import nifti, ramp
from zeus_app.errors import InputError
from zeus_app.types import LPS_TO_RAS, Affine
from zeus_app.volumes.nifti import MAX_EXTENSION_BYTES, nifti_bytes, opened, read_guarded
from zeus_app.volumes.sources import NiftiSource, itk_agrees

OBLIQUE = np.array([
    [-900.0, 0, 100, 4000], [0, 1200, 0, -5000], [75, 0, 2500, 6000], [0, 0, 0, 1]
])  # fmt: skip
OBLIQUE[:3, 2] = np.cross(OBLIQUE[:3, 0], OBLIQUE[:3, 1]) / 450  # at right angles


def itk_affine(path: Path) -> Affine:
    """Where ITK puts the voxels, in RAS mm."""
    image = sitk.ReadImage(str(path))
    affine = np.eye(4)
    affine[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    affine[:3, 3] = image.GetOrigin()
    placed: Affine = LPS_TO_RAS @ affine
    return placed


@pytest.mark.parametrize("codes", [(1, 1), (1, 0), (0, 1)])
@pytest.mark.parametrize(
    ("unit", "mm"), [("micron", 0.001), ("mm", 1.0), ("meter", 1000.0), ("unknown", 1.0)]
)
def test_the_unit_of_length_counts_as_itk_reads_it(
    tmp_path: Path, unit: str, mm: float, codes: tuple[int, int]
) -> None:
    image = nibabel.Nifti1Image(ramp(4, 5, 3), OBLIQUE)
    image.set_qform(OBLIQUE, code=codes[0])
    image.set_sform(OBLIQUE, code=codes[1])
    image.header.set_xyzt_units(unit, "sec")
    nibabel.save(image, tmp_path / "x.nii.gz")
    source = NiftiSource(tmp_path / "x.nii.gz")
    for grid in (source.grid(), source.load().grid):
        np.testing.assert_allclose(grid.affine_ras[:3], OBLIQUE[:3] * mm, rtol=1e-4)
        np.testing.assert_allclose(grid.affine_ras, itk_affine(source.path), rtol=1e-4)
    assert itk_agrees(source) == (mm == 1)  # who takes every unit for mm gets a copy in mm


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    ("header", "image"),
    [(nibabel.Nifti1Header, nibabel.Nifti1Image), (nibabel.Nifti2Header, nibabel.Nifti2Image)],
)
def test_both_versions_in_both_byte_orders_are_read(
    tmp_path: Path, header: type, image: type, order: str
) -> None:
    made = image(ramp(4, 5, 3), OBLIQUE, header(endianness=order))
    made.header.set_xyzt_units("micron")
    nibabel.save(made, tmp_path / "x.nii.gz")
    volume = NiftiSource(tmp_path / "x.nii.gz").load()
    np.testing.assert_array_equal(volume.array, ramp(4, 5, 3))
    np.testing.assert_allclose(volume.affine_ras[:3], OBLIQUE[:3] * 0.001, rtol=1e-4)


def test_a_wrong_length_of_the_header_is_read_as_nibabel_reads_it(tmp_path: Path) -> None:
    path = patched(tmp_path, 0, "<i", 0)
    np.testing.assert_array_equal(NiftiSource(path).load().array, nibabel.load(path).get_fdata())


@pytest.mark.parametrize("code", [4, 5, 6, 7])
def test_a_code_of_no_unit_is_mm_as_itk_reads_it(tmp_path: Path, code: int) -> None:
    path = patched(tmp_path, 123, "<B", code)
    np.testing.assert_allclose(NiftiSource(path).grid().affine_ras, itk_affine(path))


def patched(tmp_path: Path, at: int, form: str, *values: float) -> Path:
    """A NIfTI-1 file with other bytes in its header."""
    path = nifti(tmp_path / "x.nii", ramp(4, 5, 3))
    content = bytearray(path.read_bytes())
    struct.pack_into(form, content, at, *values)
    path.write_bytes(content)
    return path


def test_gzip_is_told_by_content(tmp_path: Path) -> None:
    plain, packed = nifti(tmp_path / "x.nii"), nifti(tmp_path / "x.nii.gz")
    (tmp_path / "packed.nii").write_bytes(packed.read_bytes())
    (tmp_path / "plain.nii.gz").write_bytes(plain.read_bytes())
    for name in ("packed.nii", "plain.nii.gz"):
        source = NiftiSource(tmp_path / name)
        np.testing.assert_array_equal(source.load().array, ramp(4, 4, 3))
        assert source.grid().shape == (4, 4, 3)
        assert not itk_agrees(source)  # ITK goes by the name: it reads nothing, or zeros


def test_a_suffix_in_capitals_gets_a_copy_for_clients(tmp_path: Path) -> None:
    packed = nifti(tmp_path / "x.nii.gz").rename(tmp_path / "x.NII.GZ")
    np.testing.assert_array_equal(NiftiSource(packed).load().array, ramp(4, 4, 3))
    assert not itk_agrees(NiftiSource(packed))


@pytest.mark.parametrize("name", ["x.nii", "x.nii.gz"])
def test_a_truncated_file_is_refused_whatever_its_name(tmp_path: Path, name: str) -> None:
    noise = np.random.default_rng(0).normal(size=(20, 20, 20))
    for made in ("a.nii", "a.nii.gz"):
        content = nifti(tmp_path / made, noise).read_bytes()
        (tmp_path / name).write_bytes(content[:-5000])
        with pytest.raises(InputError, match="cannot be read"):
            NiftiSource(tmp_path / name).grid()


def test_a_packed_file_that_cannot_hold_its_voxels_is_refused_before_it_is_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    header = nibabel.Nifti1Header()
    header.set_data_shape((1300, 1300, 1300))
    header["magic"], header["vox_offset"] = b"n+1", 352
    monkeypatch.setattr("zeus_app.volumes.nifti._unpacked_bytes", pytest.fail)
    for name in ("x.nii", "x.nii.gz"):
        (tmp_path / name).write_bytes(gzip.compress(header.binaryblock + bytes(10_000)))
        with pytest.raises(InputError, match="cannot hold"):
            NiftiSource(tmp_path / name).grid()


def test_several_gzip_members_are_one_file(tmp_path: Path) -> None:
    plain = nifti(tmp_path / "x.nii").read_bytes()
    path = tmp_path / "x.nii.gz"
    path.write_bytes(gzip.compress(plain[:360]) + gzip.compress(plain[360:]))
    np.testing.assert_array_equal(NiftiSource(path).load().array, ramp(4, 4, 3))


@pytest.mark.parametrize("name", ["x.mgz", "x.mgh"])
def test_mgh_lies_where_nibabel_puts_it(tmp_path: Path, name: str) -> None:
    affine = np.array([[0.0, 0, -2, 9], [-1, 0, 0, 8], [0, -1.5, 0, 7], [0, 0, 0, 1]])
    voxels = ramp(4, 5, 3).astype(np.float32)
    nibabel.save(nibabel.MGHImage(voxels, affine), tmp_path / name)
    for path in (tmp_path / name, tmp_path / f"other{name}"):
        path.write_bytes((tmp_path / name).read_bytes())
        volume = NiftiSource(path).load()
        np.testing.assert_array_equal(volume.array, voxels)
        np.testing.assert_allclose(volume.affine_ras, affine, atol=1e-5)
        np.testing.assert_allclose(NiftiSource(path).grid().affine_ras, affine, atol=1e-5)
        assert not itk_agrees(NiftiSource(path))


def test_mgh_files_whose_name_lies_or_that_are_cut_off(tmp_path: Path) -> None:
    nibabel.save(nibabel.MGHImage(ramp(4, 5, 30).astype(np.float32), None), tmp_path / "x.mgz")
    packed = (tmp_path / "x.mgz").read_bytes()
    (tmp_path / "packed.mgh").write_bytes(packed)
    assert NiftiSource(tmp_path / "packed.mgh").grid().shape == (4, 5, 30)
    (tmp_path / "cut.mgz").write_bytes(packed[: len(packed) // 2])
    (tmp_path / "cut.mgh").write_bytes(gzip.decompress(packed)[:1000])
    (tmp_path / "none.mgz").write_bytes(b"no MGH")
    for name in ("cut.mgz", "cut.mgh", "none.mgz"):
        with pytest.raises(InputError, match="cannot be read"):
            NiftiSource(tmp_path / name).grid()


def test_mgh_of_several_frames_is_refused(tmp_path: Path) -> None:
    voxels = ramp(4, 5, 3, 2).astype(np.float32)
    nibabel.save(nibabel.MGHImage(voxels, np.eye(4)), tmp_path / "x.mgz")
    with pytest.raises(InputError, match="2 volumes in one file"):
        NiftiSource(tmp_path / "x.mgz").grid()


def test_cifti_is_refused_as_what_it_is(tmp_path: Path) -> None:
    axis = BrainModelAxis.from_mask(np.ones(5), affine=None, name="cortex_left")
    image = Cifti2Image(np.ones((1, 5), np.float32), (ScalarAxis(["a"]), axis))
    for name in ("T1w.dscalar.nii", "T1w.nii.gz"):
        nibabel.save(image, tmp_path / "x.dscalar.nii")
        content = (tmp_path / "x.dscalar.nii").read_bytes()
        (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
        with pytest.raises(InputError, match="a CIFTI file"):
            NiftiSource(tmp_path / name).grid()


COLOUR = np.zeros((4, 4, 3), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (COLOUR, "voxels of type"),
        (ramp(4, 4, 3).astype(np.complex64), "voxels of type complex64"),
        (ramp(4, 4, 3, 1, 3), "5-D"),
        (ramp(4, 4, 3, 1, 1, 3), "6-D"),
        (ramp(4, 4, 3, 8), "8 volumes in one file"),
        (ramp(4, 4, 1, 8), "8 volumes in one file"),
    ],
)
def test_what_is_no_volume_is_refused_by_its_header(
    tmp_path: Path, array: npt.NDArray[np.generic], message: str
) -> None:
    path = nifti(tmp_path / "x.nii.gz", array)
    with pytest.raises(InputError, match=message):
        NiftiSource(path).grid()


def test_a_deformation_field_is_refused_by_its_header(tmp_path: Path) -> None:
    field = sitk.GetImageFromArray(np.zeros((3, 4, 5, 3), np.float32), isVector=True)
    sitk.WriteImage(field, tmp_path / "x.nii.gz")
    with pytest.raises(InputError, match="5-D"):
        NiftiSource(tmp_path / "x.nii.gz").grid()


def test_a_pair_of_files_is_refused_with_the_way_out(tmp_path: Path) -> None:
    nibabel.save(nibabel.Nifti1Pair(ramp(4, 4, 3), np.eye(4)), tmp_path / "x.hdr")
    (tmp_path / "x.hdr").rename(tmp_path / "x.nii")
    with pytest.raises(InputError, match=r"of two files.*nib-convert"):
        NiftiSource(tmp_path / "x.nii").grid()


@pytest.mark.parametrize("offset", [0.0, 100.0, -352.0, float("nan"), float("inf"), 1e9])
def test_voxels_that_start_within_or_far_behind_the_header_are_refused(
    tmp_path: Path, offset: float
) -> None:
    path = patched(tmp_path, 108, "<f", offset)
    # nibabel refuses some of them, and of 0 it reads the header as voxels.
    with pytest.raises(InputError, match=r"start at byte|too low"):
        NiftiSource(path).load()


def test_an_extension_is_bounded(tmp_path: Path) -> None:
    header = nibabel.Nifti1Header()
    header.set_data_shape((4, 4, 3))
    header["magic"], header["vox_offset"] = b"n+1", MAX_EXTENSION_BYTES + 1024
    (tmp_path / "x.nii.gz").write_bytes(gzip.compress(header.binaryblock + bytes(4)))
    with pytest.raises(InputError, match="start at byte"):
        nifti_bytes(tmp_path / "x.nii.gz")


@pytest.mark.parametrize(
    "content", [b"", b"\x1f\x8b", b"\x1f\x8b\x08", b"n+1", bytes(348), b"x" * 900]
)
def test_other_content_is_refused(tmp_path: Path, content: bytes) -> None:
    for name in ("x.nii", "x.nii.gz", "x.mgz"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match="cannot be read"):
            NiftiSource(tmp_path / name).grid()


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("slope", "intercept", "factor", "added"),
    [(0, 0, 1, 0), (0, 5, 1, 0), (NAN, 0, 1, 0), (INF, 0, 1, 0), (NAN, NAN, 1, 0), (-2, 7, -2, 7)],
)
def test_slope_and_intercept_are_read_as_nibabel_reads_them(
    tmp_path: Path, slope: float, intercept: float, factor: float, added: float
) -> None:
    array = NiftiSource(patched(tmp_path, 112, "<ff", slope, intercept)).load().array
    np.testing.assert_array_equal(array, ramp(4, 5, 3) * factor + added)


@pytest.mark.parametrize("intercept", [NAN, INF])
def test_a_slope_without_a_finite_intercept_is_refused(tmp_path: Path, intercept: float) -> None:
    with pytest.raises(InputError, match="invalid intercept"):
        NiftiSource(patched(tmp_path, 112, "<ff", 2, intercept)).grid()


def placed(tmp_path: Path, change: Callable[[nibabel.Nifti1Header], None]) -> NiftiSource:
    """A file with a changed header, and without the check of nibabel's writer."""
    header = nibabel.Nifti1Header()
    header.set_data_shape((4, 5, 3))
    header.set_data_dtype(np.int16)
    header.set_qform(np.diag([2.0, 3, 4, 1]), code=1)
    header["magic"], header["vox_offset"] = b"n+1", 352
    change(header)
    voxels = ramp(4, 5, 3).tobytes(order="F")
    (tmp_path / "x.nii").write_bytes(header.binaryblock + bytes(4) + voxels)
    return NiftiSource(tmp_path / "x.nii")


def test_without_sform_and_qform_the_first_axis_points_left_as_nibabel_reads_it(
    tmp_path: Path,
) -> None:
    def change(header: nibabel.Nifti1Header) -> None:
        header["qform_code"] = 0

    source = placed(tmp_path, change)
    expected = nibabel.load(source.path).affine
    assert np.diag(expected).tolist() == [-2, 3, 4, 1]
    np.testing.assert_array_equal(source.grid().affine_ras, expected)
    assert not itk_agrees(source)  # ITK puts the first voxel at 0


@pytest.mark.parametrize("sizes", [(-2, 3, 4), (0, 3, 4), (2, 3, -4)])
def test_sizes_that_are_not_positive_are_read_as_nibabel_reads_them(
    tmp_path: Path, sizes: tuple[float, float, float]
) -> None:
    def change(header: nibabel.Nifti1Header) -> None:
        header["pixdim"][1:4] = sizes

    expected = [abs(size) or 1 for size in sizes]
    assert placed(tmp_path, change).grid().spacing_mm == pytest.approx(expected)


@pytest.mark.parametrize(
    ("field", "values"),
    [("pixdim", (NAN, 3, 4)), ("quatern", (NAN, 0, 0)), ("quatern", (2, 0, 0)), ("srow", None)],
)
def test_a_place_that_is_none_is_refused(
    tmp_path: Path, field: str, values: tuple[float, float, float] | None
) -> None:
    def change(header: nibabel.Nifti1Header) -> None:
        if values is None:
            header.set_sform(np.diag([1.0, 0, 1, 1]), code=1)
        elif field == "pixdim":
            header["pixdim"][1:4] = values
        else:
            header["quatern_b"], header["quatern_c"], header["quatern_d"] = values

    with pytest.raises(InputError, match=r"not invertible|cannot be read"):
        placed(tmp_path, change).grid()


def test_a_reader_s_exception_of_any_type_names_the_file(tmp_path: Path) -> None:
    for error in (KeyError("a"), AttributeError("b"), RuntimeError(""), TypeError(3)):

        def read(error: Exception = error) -> None:
            raise error

        with pytest.raises(InputError, match=r"x.nii cannot be read"):
            read_guarded(read, tmp_path / "x.nii")


def test_the_file_is_closed_after_it_was_read(tmp_path: Path) -> None:
    with opened(nifti(tmp_path / "x.nii.gz")) as image:
        stream = image.dataobj.file_like
        assert not stream.closed
    assert stream.fileobj.closed
