"""Zeus with the read-out: fusion of masks and of features, and sequences that are missing."""

import pytest
import torch

from tests.pipeline.tiny_zeus import Parts, prepare
from zeus_app.models.net import ReadOutNet
from zeus_app.models.readout import ReadOut
from zeus_app.protocols import ABSENT, Batch, Decoded


def read_out(fusion: str = "hybrid", union: str = "features") -> Parts:
    parts = Parts(decoder="readout", fusion=fusion, union=union)
    parts.zeus.trainable.eval()
    return parts


def decoded(parts: Parts, batch: Batch, *, branches: bool = True) -> Decoded:
    with torch.inference_mode():
        return parts.zeus.decode(batch, branches=branches)


def without(sequence: int, batch: Batch) -> Batch:
    present = batch["present"].clone()
    present[:, sequence] = False
    return {**batch, "present": present}


@pytest.mark.parametrize(("fusion", "union"), [("hybrid", "features"), ("late", "max")])
def test_present_sequences_and_the_union_have_masks_and_absent_sequences_none(
    fusion: str, union: str
) -> None:
    parts = read_out(fusion, union)
    result = decoded(parts, prepare(parts).batch([0, 2]))
    assert result.branches.shape == (2, 2, 4, 256, 256)
    assert result.union.shape == (2, 4, 256, 256)
    assert (result.branches[0, 1] == ABSENT).all()
    assert (result.branches[1, 1] > ABSENT).all()


def test_the_union_of_one_sequence_is_that_sequences_mask() -> None:
    parts = read_out()
    batch = without(1, prepare(parts).batch([1, 2]))
    result = decoded(parts, batch)
    torch.testing.assert_close(result.union, result.branches[:, 0])


def test_a_missing_sequence_changes_nothing_whatever_its_embedding_holds() -> None:
    parts = read_out()
    batch = without(1, prepare(parts).batch([2]))
    noise = {name: batch[name].clone() for name in ("embeddings", "pixels", "texts")}
    for tensor in noise.values():
        tensor[:, 1] += 3
    torch.testing.assert_close(
        decoded(parts, {**batch, **noise}).union, decoded(parts, batch).union
    )


@pytest.mark.parametrize(("fusion", "union"), [("hybrid", "features"), ("late", "max")])
def test_sequences_that_a_batch_lacks_are_not_read_and_the_masks_are_the_same(
    fusion: str, union: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = read_out(fusion, union)
    batch = without(1, prepare(parts).batch([1, 2]))
    every = parts.zeus.decode(batch)  # with gradients all are read
    reads: list[int] = []
    read = ReadOut.read

    def counted(self: ReadOut, sequence: int, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        reads.append(sequence)
        return read(self, sequence, *inputs)

    monkeypatch.setattr(ReadOut, "read", counted)
    present = decoded(parts, batch)
    assert reads == [0]
    assert torch.equal(present.branches, every.branches)
    assert torch.equal(present.union, every.union)


def test_without_any_sequence_the_union_is_empty() -> None:
    parts = read_out()
    batch = without(0, without(1, prepare(parts).batch([2])))
    assert not torch.sigmoid(decoded(parts, batch).union).any()


def test_features_of_both_sequences_make_another_union_than_their_masks() -> None:
    parts = read_out()
    result = decoded(parts, prepare(parts).batch([2]))
    assert not torch.allclose(result.union, result.branches.amax(dim=1), atol=1e-2)


def test_the_union_of_features_needs_no_branches() -> None:
    parts = read_out()
    batch = prepare(parts).batch([2])
    alone = decoded(parts, batch, branches=False)
    assert alone.branches.shape == (1, 0, 4, 256, 256)
    torch.testing.assert_close(alone.union, decoded(parts, batch).union)


def test_in_late_fusion_each_sequence_has_its_own_read_out() -> None:
    parts = read_out("late", "max")
    net = parts.zeus.trainable
    assert isinstance(net, ReadOutNet)
    batch = prepare(parts).batch([2])
    before = decoded(parts, batch).branches
    for parameter in net.decoders[1].parameters():
        parameter.data += 0.1
    after = decoded(parts, batch).branches
    assert torch.equal(before[:, 0], after[:, 0])
    assert not torch.equal(before[:, 1], after[:, 1])


def test_a_training_step_reaches_every_trained_part() -> None:
    parts = Parts(decoder="readout", union="features")
    net = parts.zeus.trainable
    prepared = prepare(parts, keep=False)
    parts.zeus.calibrate([prepared])
    union = parts.zeus.decode(prepared.batch([0, 2]), branches=False).union
    torch.autograd.backward(union.square().mean())
    modules = {"f_tt": net.aligner, "F_pred": net.decoders}
    for name, module in modules.items():
        assert all(p.grad is not None and p.grad.any() for p in module.parameters()), name
