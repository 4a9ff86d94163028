from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.instructions.tiny_vision import blip_2, gemma3, llava, qwen2_vl
from zeus_app.errors import CancelledError, InputError
from zeus_app.instructions.loading import name_and_hash
from zeus_app.instructions.vision_chat import VisionChat

PROMPTS = ["give the tumour", "analyze the given brain image please", "where"]
SYSTEM = "You are a helpful health-care virtual assistant."
ASKED = {  # by hand from the templates; "{}" is the question
    "llava": f"SYSTEM: {SYSTEM} USER: <image>\n{{}} ASSISTANT:",
    "qwen2_vl": (
        f"<|im_start|>system\n{SYSTEM}<|im_end|>\n<|im_start|>user\n"
        "<|vision_start|><|image_pad|><|vision_end|>{}<|im_end|>\n<|im_start|>assistant\n"
    ),
    "gemma3": (
        f"{SYSTEM}\n\n<start_of_turn>user\n<start_of_image>{{}}<end_of_turn>\n"
        "<start_of_turn>model\n"
    ),
    "blip_2": "Question: {} Answer:",
}
MAKERS = {"llava": llava, "qwen2_vl": qwen2_vl, "gemma3": gemma3, "blip_2": blip_2}


@pytest.fixture(scope="module", params=MAKERS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def folder(kind: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return MAKERS[kind](tmp_path_factory.mktemp(kind) / kind)


@pytest.fixture(scope="module")
def chat(folder: Path) -> VisionChat:
    return VisionChat(folder, precision="float32")


@pytest.fixture(scope="module")
def pictures() -> Any:
    return np.random.default_rng(0).random((3, 256, 256), dtype=np.float32)


def test_it_generates_the_text_of_transformers_for_the_same_prompt_and_picture(
    kind: str, folder: Path, chat: VisionChat, pictures: Any
) -> None:
    from transformers import AutoModelForImageTextToText, AutoProcessor

    model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32).eval()
    processor = AutoProcessor.from_pretrained(folder)
    grey = Image.fromarray(np.rint(pictures[0] * 255).astype(np.uint8)).convert("RGB")
    text = ASKED[kind].format(PROMPTS[0])
    inputs = processor(images=grey, text=text, return_tensors="pt", add_special_tokens=False)
    out = model.generate(**inputs, do_sample=False, max_new_tokens=8)
    new = out[0, inputs["input_ids"].shape[1] :]
    expected = processor.tokenizer.decode(new, skip_special_tokens=True).strip()
    assert chat.generate(pictures[:1], PROMPTS[:1], max_tokens=8) == [expected]
    assert expected


def test_it_can_be_stopped_between_two_tokens(chat: VisionChat, pictures: Any) -> None:
    called = []

    def pause() -> None:
        called.append(1)
        if len(called) == 2:
            raise CancelledError("enough")

    with pytest.raises(CancelledError):
        chat.generate(pictures[:1], PROMPTS[:1], max_tokens=8, pause=pause)
    assert len(called) == 2


def test_a_batch_generates_the_same_texts_as_its_rows_one_by_one(
    chat: VisionChat, pictures: Any
) -> None:
    alone = [
        chat.generate(pictures[i : i + 1], [prompt], max_tokens=8)[0]
        for i, prompt in enumerate(PROMPTS)
    ]
    assert chat.generate(pictures, PROMPTS, max_tokens=8) == alone


def test_another_picture_gives_another_text(chat: VisionChat, pictures: Any) -> None:
    two_pictures = np.stack([pictures[0], np.tri(256, dtype=np.float32)])
    first, second = chat.generate(two_pictures, [PROMPTS[0]] * 2, max_tokens=8)
    assert first != second


def test_its_id_names_weights_and_precision(folder: Path, chat: VisionChat) -> None:
    assert chat.id == f"{name_and_hash(folder)}-vision-float32"
    assert VisionChat.id_of(folder, precision="bfloat16") != chat.id


def test_it_takes_no_gradient(chat: VisionChat) -> None:
    assert not any(parameter.requires_grad for parameter in chat.model.parameters())


def test_no_prompts_give_no_texts(chat: VisionChat, pictures: Any) -> None:
    assert chat.generate(pictures[:0], [], max_tokens=8) == []


def test_a_picture_without_a_prompt_is_refused(chat: VisionChat, pictures: Any) -> None:
    with pytest.raises(InputError, match="3 pictures, and 1 prompts"):
        chat.generate(pictures, PROMPTS[:1], max_tokens=8)


def test_a_template_that_writes_the_first_token_gets_no_second_one(
    tmp_path: Path, pictures: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.instructions.tiny_vision import LLAVA_TEMPLATE

    chat = VisionChat(llava(tmp_path / "llava", template="{{ bos_token }}" + LLAVA_TEMPLATE))
    arguments: dict[str, Any] = {}
    generate = chat.model.generate
    monkeypatch.setattr(chat.model, "generate", lambda **k: arguments.update(k) or generate(**k))
    chat.generate(pictures[:1], ["where"], max_tokens=1)
    assert arguments["input_ids"][0].tolist().count(chat.tokenizer.bos_token_id) == 1


def test_a_model_without_a_chat_template_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a llava model without a chat template"):
        VisionChat(llava(tmp_path / "llava", template=None))


def test_a_folder_of_another_kind_of_model_is_refused(tmp_path: Path) -> None:
    from tests.instructions.tiny import byte_level_tokenizer, save, tiny_model

    tokenizer = byte_level_tokenizer()
    folder = save(tmp_path / "words", tiny_model("llama", tokenizer), tokenizer)
    with pytest.raises(InputError, match="cannot be loaded as a vision-language chat model"):
        VisionChat(folder)
