"""Tiny LLMs with random weights, written in the formats in which real ones are published."""

import json
from pathlib import Path
from typing import Any

import torch

TEXT = "please analyze the given brain tumour image and give as much information as you can " * 2
Q8_0_BLOCK = 32
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def byte_level_tokenizer(*, template: str | None = CHATML, extra: tuple[str, ...] = ()) -> Any:
    """As Qwen2's and SmolLM2's: bytes and merges, no beginning-of-sequence token is put first."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *extra]
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([TEXT], trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",
        bos_token="<|im_start|>",
        pad_token="<|endoftext|>",
        chat_template=template,
    )


def llama_tokenizer(*, template: str | None = None) -> Any:
    """As LLaMA's and Vicuna's: SentencePiece with bytes, <s> put first."""
    from transformers import LlamaTokenizer

    words = ["<unk>", "<s>", "</s>", *(f"<0x{i:02X}>" for i in range(256)), "▁"]
    words += sorted(set(TEXT) - {" "})
    vocab = {word: i for i, word in enumerate(words)}
    return LlamaTokenizer(vocab=vocab, merges=[], add_bos_token=True, chat_template=template)


def tiny_model(kind: str, tokenizer: Any, *, seed: int = 0, **settings: Any) -> Any:
    """A `kind` (llama, qwen2, qwen3) of two layers; its weights large enough to tell."""
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.for_model(
        kind,
        **{
            "vocab_size": len(tokenizer),
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "head_dim": 8,
            "max_position_embeddings": 512,
            "initializer_range": 0.3,
            "tie_word_embeddings": False,
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
            **settings,
        },
    )
    torch.manual_seed(seed)
    return AutoModelForCausalLM.from_config(config).eval()


def save(folder: Path, model: Any, tokenizer: Any, **how: Any) -> Path:
    model.save_pretrained(folder, **how)
    tokenizer.save_pretrained(folder)
    return folder


def save_bin(folder: Path, model: Any, tokenizer: Any) -> Path:
    """As older repositories have it: parameters pickled in pytorch_model.bin."""
    save(folder, model, tokenizer)
    (folder / "model.safetensors").unlink()
    torch.save(model.state_dict(), folder / "pytorch_model.bin")
    return folder


def save_sentencepiece(folder: Path, model: Any) -> Path:
    """As Vicuna's repository has it: a tokenizer.model of SentencePiece, and no tokenizer.json."""
    import sentencepiece

    model.save_pretrained(folder)
    with (folder / "tokenizer.model").open("wb") as file:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter([TEXT] * 3),
            model_writer=file,
            vocab_size=model.config.vocab_size,
            model_type="bpe",
            byte_fallback=True,
            hard_vocab_limit=False,
            pad_id=-1,
            minloglevel=2,
        )
    settings = {"tokenizer_class": "LlamaTokenizer", "add_bos_token": True, "add_eos_token": False}
    names = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "legacy": False}
    (folder / "tokenizer_config.json").write_text(json.dumps({**settings, **names}))
    return folder


def save_gguf(path: Path, model: Any, tokenizer: Any, *, bits: int = 16) -> Path:
    """A LLaMA in llama.cpp's names and order of rows, with its tokenizer.

    Matrices are in half precision. With 8 bits, those whose rows fill blocks of Q8_0 are in Q8_0.
    """
    import gguf

    config = model.config
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    _add_tokenizer(writer, tokenizer)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config.num_hidden_layers)
    for name, tensor in model.state_dict().items():
        heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
        part = name.split(".")[-2]
        if part in heads:
            tensor = _rope_pairs_together(tensor, heads=heads[part])
        array = (tensor.half() if tensor.ndim == 2 else tensor.float()).contiguous().numpy()
        kind = None
        if bits == 8 and tensor.ndim == 2 and tensor.shape[1] % Q8_0_BLOCK == 0:
            kind = gguf.GGMLQuantizationType.Q8_0
            array = gguf.quants.quantize(tensor.contiguous().numpy(), kind)
        writer.add_tensor(names.get_name(name, (".weight",)), array, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _add_tokenizer(writer: Any, tokenizer: Any) -> None:
    import json

    import gguf

    model = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    special = set(tokenizer.all_special_ids)
    tokens = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    kinds = (gguf.TokenType.NORMAL, gguf.TokenType.CONTROL)
    writer.add_token_types([kinds[i in special] for i in range(len(tokens))])
    writer.add_token_merges([" ".join(pair) for pair in model["merges"]])
    writer.add_bos_token_id(tokenizer.bos_token_id)
    writer.add_eos_token_id(tokenizer.eos_token_id)
    writer.add_pad_token_id(tokenizer.pad_token_id)
    writer.add_add_bos_token(False)
    writer.add_chat_template(tokenizer.chat_template)


def _rope_pairs_together(weight: torch.Tensor, *, heads: int) -> torch.Tensor:
    """In transformers RoPE turns row i with row i + half, in llama.cpp row 2i with 2i + 1."""
    rows, columns = weight.shape
    halves = weight.reshape(heads, 2, rows // heads // 2, columns)
    return halves.transpose(1, 2).reshape(rows, columns)
