"""Zeus with towers small enough to compute by hand, and an untrained decoder of SAM."""

from typing import cast

import numpy as np
import pytest
import torch

from tests.pipeline.tiny_zeus import LLM_DIM, TARGET, Parts, a_stack, prepare
from zeus_app.encoders.lite_medsam import load_prompt_encoder_and_decoder
from zeus_app.errors import InputError
from zeus_app.instructions.generate import text_key
from zeus_app.models.mask_decoder import InstructedMaskDecoder
from zeus_app.progress import silent
from zeus_app.protocols import ABSENT
from zeus_app.studies.opened import OpenedStudy
from zeus_app.targets import Target
from zeus_app.types import Guidance, SliceStack
from zeus_app.weights import locate


def test_slices_without_tissue_are_never_encoded() -> None:
    parts = Parts()
    prepare(parts)
    assert parts.images.seen == 4


def test_nothing_is_encoded_or_written_twice() -> None:
    parts = Parts()
    prepare(parts)
    seen, written = parts.images.seen, parts.llm.written
    prepare(parts)
    assert (parts.images.seen, parts.llm.written) == (seen, written)


def test_a_choice_of_sequences_encodes_and_writes_nothing_more() -> None:
    parts, stack = Parts(), a_stack()
    grids = dict.fromkeys(TARGET.sequence_names, stack.frame.grid)
    chosen = OpenedStudy("s", stack, "T2-SPIR", grids).with_sequences(("T1-in",)).stack
    prepare(parts)
    seen, written = parts.images.seen, parts.llm.written
    prepared = parts.zeus.prepare(chosen, guidance=Guidance(), report=silent, keep_pixels=True)
    assert (parts.images.seen, parts.llm.written) == (seen, written)
    assert {i.sequence for i in prepared.instructions} == {"T1-in"}
    assert prepared.present.any(axis=0).tolist() == [False, True]


@pytest.mark.parametrize(("scope", "count"), [("series", 2 * 4), ("all", (3 + 1) * 4)])
def test_there_is_an_instruction_for_each_series_or_slice_and_label(scope: str, count: int) -> None:
    instructions = prepare(Parts(scope=scope)).instructions
    assert len(instructions) == count
    assert {i.slice_index is None for i in instructions} == {scope == "series"}


def test_an_instruction_answers_the_papers_question_about_its_sequence_and_label() -> None:
    first = prepare(Parts()).instructions[0]
    assert (first.sequence, first.label, first.model) == ("T2-SPIR", "liver", "echo")
    assert first.text == "echo: segment liver in MRI-T2-SPIR"
    assert first.notice == "machine-made, not for diagnosis"


def test_key_slices_are_at_the_quarters_and_other_slices_take_the_nearest_text() -> None:
    parts = Parts()
    prepared = prepare(parts, scope="key", slices=9)
    described = {i.slice_index for i in prepared.instructions if i.sequence == "T2-SPIR"}
    assert described == {2, 4, 6}
    texts = prepared.prompts["texts"][:, 0, 0]  # (9, D)
    for s, nearest in enumerate([2, 2, 2, 2, 4, 4, 6, 6, 6]):
        assert (texts[s] == texts[nearest]).all()


def test_a_sequence_without_tissue_on_a_slice_has_no_prompt_there() -> None:
    texts = prepare(Parts(), scope="all").prompts["texts"]  # T1-in shows tissue on the last slice
    assert texts.any(axis=(2, 3)).tolist() == [[True, False], [True, False], [True, True]]


def test_with_scope_none_the_llm_is_not_called_and_the_names_are_the_texts() -> None:
    parts = Parts()
    prepared = prepare(parts, scope="none")
    assert parts.llm.written == 0
    assert {i.model for i in prepared.instructions} == {"template"}
    assert "liver in MRI-T2-SPIR" in {i.text for i in prepared.instructions}


def test_with_scope_target_each_label_and_sequence_is_written_once_for_all_studies() -> None:
    parts = Parts(scope="target")
    first, second = prepare(parts), prepare(parts, seed=2)
    assert parts.llm.written == 2 * 4
    assert set(parts.llm.shown) == {None}  # no picture
    assert {i.slice_index for i in first.instructions} == {None}
    np.testing.assert_array_equal(first.prompts["texts"], second.prompts["texts"])
    prepare(parts, scope="series")
    assert parts.llm.written == 2 * 2 * 4  # another scope has other texts


def test_a_shipped_text_is_taken_in_scope_target_alone() -> None:
    key = text_key("echo", "", 9, "segment liver in MRI-T2-SPIR")
    parts = Parts(scope="target", shipped={key: "shipped words"})
    first = prepare(parts).instructions[0]
    assert (first.text, first.model) == ("shipped words", "echo")
    assert first.notice == "machine-made, not for diagnosis"
    assert parts.llm.written == 2 * 4 - 1
    assert "shipped words" not in {i.text for i in prepare(parts, scope="series").instructions}


def test_scope_target_is_refused_where_the_llm_sees_the_slices() -> None:
    with pytest.raises(InputError, match="sees the slices"):
        prepare(Parts(llm_sees="pictures"), scope="target")


@pytest.mark.parametrize(
    ("older", "recorded", "scope"),
    [("series", None, "target"), ("series", "", "series"), ("series", "key", "key"),
     ("", None, "target"), ("", "key", "target"), ("", "", "target")],
)  # fmt: skip
def test_weights_are_asked_in_their_own_scope_unless_the_settings_name_one(
    older: str, recorded: str | None, scope: str
) -> None:
    zeus = Parts(scope="target", older_scope=older).zeus
    zeus.write_texts_as("all")
    zeus.write_texts_as(recorded)
    assert zeus.text_scope == scope


def test_a_trained_projection_is_shown_to_the_llm() -> None:
    parts = Parts(scope="target", older_scope="series")
    with parts.zeus.through_last_layer():
        pass
    parts.zeus.write_texts_as(None)
    parts.zeus.take_projection(parts.zeus.trainable.state_dict())
    prepare(parts)
    assert set(parts.llm.shown) == {(1, LLM_DIM)}
    with (
        pytest.raises(InputError, match="projection_share to 0"),
        Parts(scope="target").zeus.through_last_layer(),
    ):
        pass


def test_a_request_s_scope_wins_over_the_configured_one() -> None:
    assert prepare(Parts(scope="all"), scope="series").prompts["texts"].shape[0] == 1


def test_a_users_own_text_replaces_the_machines() -> None:
    parts = Parts()
    prepared = prepare(parts, {("T2-SPIR", "spleen"): "the bright one on the right"})
    user_texts = [i for i in prepared.instructions if i.model == "user"]
    assert [(i.label, i.text, i.notice) for i in user_texts] == [
        ("spleen", "the bright one on the right", "")
    ]
    assert parts.llm.written == 2 * 4 - 1


@pytest.mark.parametrize("fusion", ["hybrid", "late"])
@torch.inference_mode()
def test_absent_sequences_say_absent_and_present_ones_answer(fusion: str) -> None:
    parts = Parts(fusion=fusion)
    logits = parts.zeus.decode(prepare(parts).batch([0, 2])).branches
    assert logits.shape == (2, 2, 4, 256, 256)
    assert (logits[0, 1] == ABSENT).all()
    assert not (logits[1] == ABSENT).any()


@pytest.mark.parametrize("fusion", ["hybrid", "late"])
@torch.inference_mode()
def test_a_slice_answers_the_same_alone_and_in_a_batch(fusion: str) -> None:
    parts = Parts(fusion=fusion)
    prepared = prepare(parts)
    together = parts.zeus.decode(prepared.batch([2, 0, 1])).branches
    alone = torch.cat([parts.zeus.decode(prepared.batch([s])).branches for s in (2, 0, 1)])
    torch.testing.assert_close(together, alone, rtol=1e-3, atol=1e-3)


@torch.inference_mode()
def test_in_late_fusion_each_sequence_has_its_own_decoder() -> None:
    parts = Parts(fusion="late")
    batch = prepare(parts).batch([2])
    before = parts.zeus.decode(batch).branches
    second = cast(InstructedMaskDecoder, parts.zeus.trainable.decoders[1])
    second.mask_token.add_(1.0)
    after = parts.zeus.decode(batch).branches
    assert torch.equal(before[:, 0], after[:, 0])
    assert not torch.equal(before[:, 1], after[:, 1])


def gradients(mode: str) -> dict[str, bool]:
    """Which modules a training step reaches."""
    parts = Parts(mode=mode)
    net = parts.zeus.trainable
    logits = parts.zeus.decode(prepare(parts, keep=False).batch([0, 2])).branches
    torch.autograd.backward(logits.square().mean())
    modules = {"f_vt": net.projector, "f_tt": net.aligner, "F_pred": net.decoders}
    return {
        name: all(p.grad is not None and p.grad.any() for p in module.parameters())
        for name, module in modules.items()
    }


def test_in_text_mode_gradients_reach_the_aligner_and_the_decoder_but_not_the_projection() -> None:
    reached = gradients("text")
    assert (reached["f_tt"], reached["F_pred"]) == (True, True)
    assert reached["f_vt"] is False  # words are discrete


def test_in_embedding_mode_gradients_reach_everything_trainable() -> None:
    assert gradients("embedding") == {"f_vt": True, "f_tt": True, "F_pred": True}


def test_with_text_and_embedding_together_gradients_reach_everything_trainable() -> None:
    assert gradients("both") == {"f_vt": True, "f_tt": True, "F_pred": True}


def test_only_f_vt_and_lora_are_taken_from_weights_trained_through_the_last_layer() -> None:
    zeus = Parts(lora=torch.nn.Linear(2, 2)).zeus
    before = {key: value.clone() for key, value in zeus.trainable.state_dict().items()}
    with zeus.through_last_layer():
        learnt = {key: value + 1 for key, value in zeus.trainable.state_dict().items()}
    zeus.take_projection(learnt)
    after = zeus.trainable.state_dict()
    taken = {key.split(".")[0] for key in after if not torch.equal(after[key], before[key])}
    assert taken == {"projector", "lora"}
    assert all(
        torch.equal(after[f"lora.{key}"], learnt[f"lora.{key}"]) for key in ("weight", "bias")
    )


def test_text_and_embedding_together_write_texts_that_a_user_may_replace() -> None:
    parts = Parts(mode="both")
    prepared = prepare(parts, {("T1-in", "liver"): "look below"})
    assert {"look below"} == {i.text for i in prepared.instructions if i.model == "user"}
    assert set(prepared.prompts) == {"texts", "features"}


def test_in_embedding_mode_a_users_text_is_refused() -> None:
    with pytest.raises(InputError, match="embedding mode"):
        prepare(Parts(mode="embedding"), {("T1-in", "liver"): "look below"})


def test_a_vision_language_model_sees_the_slices_themselves() -> None:
    parts = Parts(llm_sees="pictures")
    prepare(parts)
    assert set(parts.llm.shown) == {(256, 256)}


def test_an_llm_that_sees_nothing_gets_each_question_once() -> None:
    parts = Parts(llm_sees="nothing", scope="all")
    prepare(parts)
    assert parts.llm.written == 2 * len(TARGET.labels)  # sequences x labels, not slices


def test_while_training_a_lost_embedding_is_an_error_with_a_remedy() -> None:
    parts = Parts()
    prepared = prepare(parts, keep=False)
    for key in [key for key in parts.cache.arrays if key.startswith("image-")]:
        del parts.cache.arrays[key]
    with pytest.raises(InputError, match="cache_gib"):
        prepared.batch([0])


def test_while_inferring_a_lost_embedding_is_encoded_again() -> None:
    parts = Parts()
    prepared = prepare(parts)
    embeddings = prepared.batch([0])["embeddings"]
    for key in [key for key in parts.cache.arrays if key.startswith("image-")]:
        del parts.cache.arrays[key]
    assert torch.equal(prepared.batch([0])["embeddings"], embeddings)


def test_while_training_its_embeddings_are_held() -> None:
    parts = Parts()
    with parts.zeus.pin_embeddings():
        prepare(parts)
        assert parts.cache.pinned == []
        prepare(parts, keep=False)
        embeddings = {key for key in parts.cache.arrays if key.startswith("image-")}
        assert set(parts.cache.pinned) == embeddings
    assert parts.cache.pinned == []


def test_half_precision_embeddings_take_two_mebibytes_a_picture() -> None:
    assert Parts().zeus.cache_bytes(3) == 3 * 2 * 1024 * 1024


def with_instances(*prompt_name: str) -> Target:
    """The first labels of the target, called by these names in the prompt."""
    labels = tuple(
        label.model_copy(update={"instance": name})
        for label, name in zip(TARGET.labels, prompt_name, strict=False)
    )
    return TARGET.only(("T2-SPIR",)).model_copy(update={"labels": labels})


def upper_and_lower_half() -> torch.Tensor:
    """(1, K=2, 256, 256): the first label above, the second below."""
    masks = torch.zeros(1, 2, 256, 256)
    masks[:, 0, :128], masks[:, 1, 128:] = 1, 1
    return masks


def with_halves_that_differ(batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The same batch, its image embedding of one sign above and of the other below."""
    embeddings = batch["embeddings"].clone()
    embeddings[..., :128, :32, :] += 1
    embeddings[..., :128, 32:, :] -= 1
    return {**batch, "embeddings": embeddings}


def learn(parts: Parts, batch: dict[str, torch.Tensor], masks: torch.Tensor) -> None:
    optimizer = torch.optim.Adam(parts.zeus.trainable.parameters(), lr=1e-3)
    for _ in range(130):
        logits = parts.zeus.decode(batch).branches[:, 0]
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, masks)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()


def test_swapping_the_instance_names_moves_a_trained_models_masks() -> None:
    stack = a_stack(slices=1)
    stack = SliceStack(("T2-SPIR",), stack.pixels[:1], stack.tissue[:1], stack.frame)
    masks = upper_and_lower_half()
    sam = load_prompt_encoder_and_decoder(locate("lite-medsam"))
    parts = Parts(target=with_instances("liver", "kidney"), sam=sam)
    prepared = parts.zeus.prepare(stack, guidance=Guidance(), report=silent, keep_pixels=True)
    parts.zeus.calibrate([prepared])
    batch = with_halves_that_differ(prepared.batch([0]))
    learn(parts, batch, masks)

    swapped = Parts(target=with_instances("kidney", "liver"), sam=sam)
    swapped.zeus.trainable.load_state_dict(parts.zeus.trainable.state_dict())
    swapped_study = swapped.zeus.prepare(
        stack, guidance=Guidance(), report=silent, keep_pixels=True
    )
    swapped_batch = with_halves_that_differ(swapped_study.batch([0]))
    with torch.inference_mode():
        as_learnt = parts.zeus.decode(batch).branches[:, 0] > 0
        as_swapped = swapped.zeus.decode(swapped_batch).branches[:, 0] > 0
    agreement = (as_learnt == masks.bool()).float().mean().item()
    assert agreement > 0.9
    assert torch.equal(as_swapped, as_learnt[:, [1, 0]])
