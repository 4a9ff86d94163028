"""The read-out: what it compresses, which sequences it sees, and that the text names a label."""

import numpy as np
import pytest
import torch

from zeus_app.models.readout import CHANNELS, Compression, ReadOut, mean_of_present
from zeus_app.types import FloatArray


def cells(count: int = 400) -> torch.Tensor:
    """Cells that differ in two directions alone, ten times more in the first."""
    rng = np.random.default_rng(0)
    directions = np.zeros((2, 256))
    directions[0, 3], directions[1, 200] = 10, 1
    values = rng.normal(size=(count, 2)) @ directions + 5
    return torch.from_numpy(values.astype(np.float32))


def embedding_of(cell: torch.Tensor) -> FloatArray:
    return cell.to(torch.float16).numpy()[:, None, None].repeat(64, 1).repeat(64, 2)


def test_the_first_components_are_the_directions_in_which_cells_differ_most() -> None:
    compression = Compression()
    compression.fit(cells())
    first, second = compression.basis[0].abs(), compression.basis[1].abs()
    assert (int(first.argmax()), int(second.argmax())) == (3, 200)


def test_the_mean_cell_is_compressed_to_zero_and_one_deviation_to_two() -> None:
    compression = Compression()
    measured = cells()
    compression.fit(measured)
    mean = measured.mean(dim=0)
    assert np.abs(compression.compress(embedding_of(mean))).max() < 0.02
    further = mean.clone()
    further[3] += measured[:, 3].std(unbiased=False)
    compressed = compression.compress(embedding_of(further))
    assert compressed.shape == (CHANNELS, 64, 64)
    assert compressed.dtype == np.float16
    assert abs(compressed[0, 7, 9]) == pytest.approx(2, abs=0.05)


def test_two_trainings_on_the_same_cells_compress_alike() -> None:
    first, second = Compression(), Compression()
    first.fit(cells())
    second.fit(cells())
    assert first.id == second.id
    assert first.id != Compression().id


def read_out(sequences: int = 1) -> ReadOut:
    torch.manual_seed(0)
    return ReadOut(sequences).eval()


def one_slice(net: ReadOut, sequence: int = 0, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(seed)
    embeddings = torch.randn(1, 3 * CHANNELS, 64, 64, generator=random)
    pixels = torch.rand(1, 3, 256, 256, generator=random)
    return net.read(sequence, embeddings, pixels)


@torch.inference_mode()
def test_a_slice_of_256_pixels_comes_out_for_every_instruction() -> None:
    net = read_out()
    logits = net.decode(*one_slice(net), torch.randn(1, 5, 256))
    assert logits.shape == (1, 5, 256, 256)
    assert logits.dtype == torch.float32


@torch.inference_mode()
def test_only_the_instruction_tells_labels_apart() -> None:
    net, instructions = read_out(), torch.randn(1, 3, 256)
    logits = net.decode(*one_slice(net), instructions)
    swapped = net.decode(*one_slice(net), instructions[:, [2, 0, 1]])
    torch.testing.assert_close(swapped, logits[:, [2, 0, 1]])
    same = net.decode(*one_slice(net), instructions[:, [1, 1]])
    assert torch.equal(same[:, 0], same[:, 1])


@torch.inference_mode()
def test_a_pixel_changes_the_mask_around_itself() -> None:
    net, instruction = read_out(), torch.randn(1, 1, 256)
    embeddings, pixels = torch.randn(1, 3 * CHANNELS, 64, 64), torch.zeros(1, 3, 256, 256)
    dark = net.decode(*net.read(0, embeddings, pixels), instruction)
    pixels[0, 1, 40, 200] = 1.0
    bright = net.decode(*net.read(0, embeddings, pixels), instruction)
    change = (bright - dark).abs()[0, 0]
    assert change[36:45, 196:205].mean() > 5 * change.mean()


def test_an_absent_sequence_does_not_enter_the_mean() -> None:
    ones = torch.ones(2, 1, 1, 1)
    present = torch.tensor([[True, False], [True, True]])
    mean = mean_of_present([ones, 7 * ones], present)
    # One sequence: its features. Two: their sum over the root of two.
    assert mean.flatten().tolist() == pytest.approx([1.0, 8 / 2**0.5])


def test_it_has_a_fifth_of_a_million_parameters() -> None:
    count = sum(parameter.numel() for parameter in read_out().parameters())
    assert 150_000 < count < 250_000
