import json
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.instructions.tiny import (
    byte_level_tokenizer,
    save,
    save_bin,
    save_gguf,
    save_sentencepiece,
    tiny_model,
)
from zeus_app.errors import InputError
from zeus_app.instructions import gguf as gguf_module
from zeus_app.instructions import loading, precision
from zeus_app.instructions.llm import FrozenLlm
from zeus_app.instructions.loading import load_causal, name_and_hash, skeleton
from zeus_app.instructions.precision import load_options, resolve

CPU = torch.device("cpu")
QUESTIONS = ["give the tumour", "analyze the given image"]


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return byte_level_tokenizer()


@pytest.fixture(scope="module")
def model(tokenizer: Any) -> Any:
    return tiny_model("llama", tokenizer)


@pytest.fixture
def folder(tmp_path: Path, model: Any, tokenizer: Any) -> Path:
    return save(tmp_path / "tiny", model, tokenizer)


def last_layer(weights: Path) -> torch.Tensor:
    return FrozenLlm(weights, precision="float32").last_hidden(None, QUESTIONS)


def test_shards_hold_the_same_model_as_one_file(
    folder: Path, tmp_path: Path, model: Any, tokenizer: Any
) -> None:
    shards = save(tmp_path / "shards", model, tokenizer, max_shard_size="20KB")
    assert len(list(shards.glob("*.safetensors"))) > 1
    assert torch.equal(last_layer(shards), last_layer(folder))


def test_a_pickled_checkpoint_holds_the_same_model(
    folder: Path, tmp_path: Path, model: Any, tokenizer: Any
) -> None:
    pickled = save_bin(tmp_path / "pickled", model, tokenizer)
    assert torch.equal(last_layer(pickled), last_layer(folder))


def test_a_pickle_that_would_run_code_is_refused(folder: Path) -> None:
    class Runs:
        def __reduce__(self) -> tuple[Any, tuple[str]]:
            return print, ("run",)

    (folder / "model.safetensors").unlink()
    torch.save({"lm_head.weight": Runs()}, folder / "pytorch_model.bin")
    with pytest.raises(InputError, match="cannot be loaded as a causal LLM"):
        load_causal(folder, device=CPU, precision="float32")


def test_vicunas_tokenizer_model_is_read_as_sentencepiece_reads_it(
    tmp_path: Path, model: Any
) -> None:
    import sentencepiece

    folder = save_sentencepiece(tmp_path / "vicuna", model)
    words, _ = load_causal(folder, device=CPU, precision="float32")
    original = sentencepiece.SentencePieceProcessor(model_file=str(folder / "tokenizer.model"))
    for text in (*QUESTIONS, "###Doctor: Ödem <Img>"):
        assert words(text).input_ids == [original.bos_id(), *original.encode(text)]
    vicuna = FrozenLlm(folder, precision="float32", prompt_style="doctor")
    assert vicuna.last_hidden(None, QUESTIONS).isfinite().all()


def test_a_gguf_in_16_bit_gives_the_same_last_layer_within_its_rounding(
    folder: Path, tmp_path: Path, model: Any, tokenizer: Any
) -> None:
    gguf = save_gguf(tmp_path / "tiny.gguf", model, tokenizer)
    # Half precision rounds a weight by at most 1 part in 2,048; the last layer is of order 1.
    assert torch.allclose(last_layer(gguf), last_layer(folder), atol=0.02)
    assert last_layer(folder).std() > 0.5


def test_a_gguf_in_8_bit_gives_the_same_last_layer_within_its_quantisation(
    folder: Path, tmp_path: Path, model: Any, tokenizer: Any
) -> None:
    gguf = save_gguf(tmp_path / "tiny.gguf", model, tokenizer, bits=8)
    # Q8_0 rounds a weight by at most half of 1 / 127 of the largest of its block of 32, eight times
    # what half precision does: 1 part in 254 against 1 in 2,048.
    assert torch.allclose(last_layer(gguf), last_layer(folder), atol=0.16)
    assert not torch.allclose(last_layer(gguf), last_layer(folder), atol=1e-3)
    assert last_layer(folder).std() > 0.5


def test_a_folder_is_also_known_by_a_file_in_it(folder: Path) -> None:
    assert torch.equal(last_layer(folder / "model.safetensors"), last_layer(folder))


def test_a_file_that_is_no_gguf_is_refused_by_name(tmp_path: Path) -> None:
    wrong = tmp_path / "model.gguf"
    wrong.write_bytes(b"GGUF and then nothing")
    with pytest.raises(InputError, match=r"model\.gguf cannot be read as a GGUF model"):
        FrozenLlm(wrong)


def test_a_gguf_without_room_beside_it_for_the_unpacked_model_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: Any) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(gguf_module, "make_artifact", full)
    (tmp_path / "model.gguf").write_bytes(b"GGUF")
    with pytest.raises(InputError, match=r"cannot be unpacked beside (.|\n)*No space left"):
        FrozenLlm(tmp_path / "model.gguf")


def test_a_checkpoint_that_lacks_a_parameter_is_refused(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    del tensors["model.layers.1.mlp.up_proj.weight"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match=r"lacks 1 parameters, for example .*up_proj"):
        load_causal(folder, device=CPU, precision="float32")


def test_an_empty_folder_holds_no_weights(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no weights"):
        name_and_hash(tmp_path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.gguf cannot be read"):
        name_and_hash(tmp_path / "gone.gguf")


def test_the_name_changes_with_a_single_parameter(folder: Path) -> None:
    before = name_and_hash(folder)
    content = bytearray((folder / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (folder / "model.safetensors").write_bytes(content)
    assert name_and_hash(folder) != before


def test_the_name_changes_with_the_chat_template(folder: Path) -> None:
    before = name_and_hash(folder)
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    assert name_and_hash(folder) != before


def test_the_name_does_not_change_with_a_readme(folder: Path) -> None:
    before = name_and_hash(folder)
    (folder / "README.md").write_text("hello")
    assert name_and_hash(folder) == before


def test_of_a_large_file_samples_from_first_to_last_byte_are_hashed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "WHOLE_BYTES", 100)
    monkeypatch.setattr(loading, "SAMPLES", 3)
    monkeypatch.setattr(loading, "SAMPLE_BYTES", 10)
    file = tmp_path / "large.gguf"  # sampled: bytes 0-9, 95-104, 190-199
    names = set()
    for changed in (None, 0, 50, 95, 104, 199):
        content = bytearray(200)
        if changed is not None:
            content[changed] = 1
        file.write_bytes(content)
        names.add(name_and_hash(file))
    assert len(names) == 5  # only byte 50 went unseen


def test_the_id_names_everything_that_changes_a_text(folder: Path) -> None:
    ids = {
        FrozenLlm.id_of(folder, precision="float32"),
        FrozenLlm.id_of(folder, precision="bfloat16"),
        FrozenLlm.id_of(folder, precision="float32", prompt_style="doctor"),
        FrozenLlm.id_of(folder, precision="float32", question_first=True),
        FrozenLlm.id_of(folder, precision="float32", lora_rank=4),
    }
    assert len(ids) == 5


def test_the_id_is_that_of_the_loaded_model(folder: Path) -> None:
    llm = FrozenLlm(folder, precision="bfloat16", prompt_style="doctor", question_first=True)
    assert llm.id == f"{name_and_hash(folder)}-doctor-bfloat16-question-first"


def test_auto_is_the_precision_that_the_device_is_fast_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "has_fast_bfloat16", lambda device: True)
    assert resolve("auto", CPU) == "bfloat16"
    monkeypatch.setattr(precision, "has_fast_bfloat16", lambda device: False)
    assert resolve("auto", CPU) == "float32"


@pytest.mark.parametrize(
    ("name", "dtype"),
    [("float32", torch.float32), ("bfloat16", torch.bfloat16), ("float16", torch.float16)],
)
def test_parameters_have_the_chosen_precision(folder: Path, name: Any, dtype: torch.dtype) -> None:
    _, model = load_causal(folder, device=CPU, precision=name)
    assert {parameter.dtype for parameter in model.parameters()} == {dtype}


@pytest.mark.parametrize("bits", ["8bit", "4bit"])
def test_few_bits_need_a_cuda_device(folder: Path, bits: Any) -> None:
    with pytest.raises(InputError, match=f"in {bits} on the cpu(.|\n)*a quantised GGUF file"):
        load_causal(folder, device=CPU, precision=bits)


def test_few_bits_need_bitsandbytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="pip install bitsandbytes"):
        load_options("4bit", torch.device("cuda"))


def test_a_model_that_is_loaded_while_inferring_can_take_part_in_training(folder: Path) -> None:
    with torch.inference_mode():
        _, model = load_causal(folder, device=CPU, precision="bfloat16")
    tensors = [*model.parameters(), *model.buffers()]
    assert not any(tensor.is_inference() for tensor in tensors)


def test_a_skeleton_has_every_parameter_and_no_memory(folder: Path, model: Any) -> None:
    bones = skeleton(json.loads((folder / "config.json").read_text()))
    assert {p.device.type for p in bones.parameters()} == {"meta"}
    shapes = {name: p.shape for name, p in bones.named_parameters()}
    assert shapes == {name: p.shape for name, p in model.named_parameters()}


def test_a_skeleton_of_llama_7b_counts_its_published_parameters() -> None:
    llama_7b = {
        "model_type": "llama",
        "vocab_size": 32000,
        "hidden_size": 4096,
        "intermediate_size": 11008,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "tie_word_embeddings": False,
    }
    layer = 4 * 4096**2 + 3 * 4096 * 11008 + 2 * 4096
    by_hand = 2 * 32000 * 4096 + 32 * layer + 4096  # 6,738,415,616
    assert sum(p.numel() for p in skeleton(llama_7b).parameters()) == by_hand == 6_738_415_616


def test_tied_embeddings_count_once() -> None:
    tied = {
        "model_type": "llama",
        "vocab_size": 100,
        "hidden_size": 8,
        "intermediate_size": 16,
        "num_hidden_layers": 0,
        "num_attention_heads": 2,
        "tie_word_embeddings": True,
    }
    assert sum(p.numel() for p in skeleton(tied).parameters()) == 100 * 8 + 8


def test_an_architecture_that_transformers_does_not_know_is_refused() -> None:
    with pytest.raises(InputError, match="model_type 'lama'"):
        skeleton({"model_type": "lama"})
