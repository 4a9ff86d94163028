"""Tiny vision-language models with random weights, saved with their processors."""

from pathlib import Path
from typing import Any

import torch

from tests.instructions.tiny import byte_level_tokenizer

LLAVA_TEMPLATE = (
    "{% for m in messages %}{{ m.role | upper }}: {% for c in m.content %}"
    "{% if c.type == 'image' %}<image>\n{% else %}{{ c.text }}{% endif %}{% endfor %} {% endfor %}"
    "{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)
QWEN_TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{% for c in m.content %}"
    "{% if c.type == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% else %}{{ c.text }}{% endif %}{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
GEMMA_TEMPLATE = (
    "{% for m in messages %}{% if m.role == 'system' %}{% set first = m.content[0].text %}"
    "{{ first }}\n\n{% else %}<start_of_turn>{{ m.role }}\n{% for c in m.content %}"
    "{% if c.type == 'image' %}<start_of_image>{% else %}{{ c.text }}{% endif %}{% endfor %}"
    "<end_of_turn>\n{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
LAYERS = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "initializer_range": 0.3,
}
EYE = {**LAYERS, "image_size": 32, "patch_size": 16}  # four patches


def _words(kind: str, tokenizer: Any) -> dict[str, Any]:
    ids = {name: getattr(tokenizer, name) for name in ("bos_token_id", "eos_token_id")}
    size = {"vocab_size": len(tokenizer), "num_key_value_heads": 2, "pad_token_id": 0}
    return {**LAYERS, **ids, **size, "model_type": kind}


def _save(folder: Path, model_class: Any, config: Any, processor: Any) -> Path:
    torch.manual_seed(0)
    model = model_class(config).eval()
    for parameter in model.parameters():
        if parameter.ndim > 1 and not parameter.any():  # Gemma's projector begins at zero
            torch.nn.init.normal_(parameter, std=LAYERS["initializer_range"])
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def llava(folder: Path, *, template: str | None = LLAVA_TEMPLATE) -> Path:
    from transformers import (
        CLIPImageProcessor,
        LlavaConfig,
        LlavaForConditionalGeneration,
        LlavaProcessor,
    )

    tokenizer = byte_level_tokenizer(template=None, extra=("<image>",))
    config = LlavaConfig(
        vision_config={**EYE, "model_type": "clip_vision_model"},
        text_config={**_words("llama", tokenizer), "max_position_embeddings": 512},
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        image_seq_length=4,
        vision_feature_layer=-1,
        tie_word_embeddings=False,
    )
    pictures = CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    processor = LlavaProcessor(
        image_processor=pictures,
        tokenizer=tokenizer,
        patch_size=16,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=template,
    )
    return _save(folder, LlavaForConditionalGeneration, config, processor)


def qwen2_vl(folder: Path) -> Path:
    from transformers import (
        Qwen2VLConfig,
        Qwen2VLForConditionalGeneration,
        Qwen2VLImageProcessor,
        Qwen2VLProcessor,
        Qwen2VLVideoProcessor,
    )

    marks = ("<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")
    tokenizer = byte_level_tokenizer(template=None, extra=marks)
    start, end, image, video = tokenizer.convert_tokens_to_ids(list(marks))
    rope = {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 10000.0}
    config = Qwen2VLConfig(
        text_config={**_words("qwen2_vl_text", tokenizer), "rope_parameters": rope},
        vision_config={
            "depth": 2,
            "embed_dim": 32,
            "hidden_size": 32,
            "num_heads": 4,
            "mlp_ratio": 2,
            "initializer_range": 0.3,
        },
        vision_start_token_id=start,
        vision_end_token_id=end,
        image_token_id=image,
        video_token_id=video,
        tie_word_embeddings=False,
    )
    processor = Qwen2VLProcessor(
        image_processor=Qwen2VLImageProcessor(min_pixels=56 * 56, max_pixels=2 * 56 * 56),
        tokenizer=tokenizer,
        video_processor=Qwen2VLVideoProcessor(),
        chat_template=QWEN_TEMPLATE,
    )
    return _save(folder, Qwen2VLForConditionalGeneration, config, processor)


def gemma3(folder: Path) -> Path:
    """As MedGemma's: SigLIP, four tokens a picture, a model turn for each answer."""
    from transformers import (
        Gemma3Config,
        Gemma3ForConditionalGeneration,
        Gemma3ImageProcessor,
        Gemma3Processor,
        PreTrainedTokenizerFast,
    )

    marks = {"boi_token": "<start_of_image>", "eoi_token": "<end_of_image>",
             "image_token": "<image_soft_token>"}  # fmt: skip
    tokenizer = byte_level_tokenizer(
        template=None, extra=(*marks.values(), "<start_of_turn>", "<end_of_turn>")
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer.backend_tokenizer,
        bos_token=tokenizer.bos_token,
        eos_token=tokenizer.eos_token,
        pad_token=tokenizer.pad_token,
        extra_special_tokens=marks,
    )
    config = Gemma3Config(
        text_config={**_words("gemma3_text", tokenizer), "head_dim": 8, "sliding_window": 64},
        vision_config={**EYE, "model_type": "siglip_vision_model"},
        mm_tokens_per_image=4,
        boi_token_index=tokenizer.boi_token_id,
        eoi_token_index=tokenizer.eoi_token_id,
        image_token_index=tokenizer.image_token_id,
        tie_word_embeddings=False,
    )
    processor = Gemma3Processor(
        image_processor=Gemma3ImageProcessor(size={"height": 32, "width": 32}),
        tokenizer=tokenizer,
        chat_template=GEMMA_TEMPLATE,
        image_seq_length=4,
    )
    return _save(folder, Gemma3ForConditionalGeneration, config, processor)


def blip_2(folder: Path) -> Path:
    from transformers import (
        Blip2Config,
        Blip2ForConditionalGeneration,
        Blip2Processor,
        BlipImageProcessor,
    )

    tokenizer = byte_level_tokenizer(template=None, extra=("<image>",))
    words = {**_words("opt", tokenizer), "ffn_dim": 48, "word_embed_proj_dim": 32, "init_std": 0.3}
    words |= {"tie_word_embeddings": False, "max_position_embeddings": 128}
    config = Blip2Config(
        vision_config=EYE,
        qformer_config={**LAYERS, "encoder_hidden_size": 32, "vocab_size": 30},
        text_config=words,
        num_query_tokens=4,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        initializer_range=0.3,
    )
    processor = Blip2Processor(
        image_processor=BlipImageProcessor(size={"height": 32, "width": 32}),
        tokenizer=tokenizer,
        num_query_tokens=4,
    )
    return _save(folder, Blip2ForConditionalGeneration, config, processor)
