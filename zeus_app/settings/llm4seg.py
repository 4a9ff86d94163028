"""Settings of LLM4Seg and its controls."""

from pydantic import BaseModel, Field


class Llm4SegSettings(BaseModel):
    """Which layer of which LLM stands at the bottleneck."""

    llm4seg_llm: str = Field(
        "smollm2-135m",
        description="LLM of the models llm4seg, llm4seg-random and llm4seg-trained: a name of"
        " `zeus weights list`, for example llama-3.2-1b-instruct, or a folder with config.json and"
        " safetensors",
    )
    llm4seg_layer: int | None = Field(
        None,
        ge=0,
        description="index of that LLM's layer, counted from 0; default: 14 of LLaMA-3.2-1B and 27"
        " of DeepSeek-R1-Distill-Qwen-1.5B as published, else the last but one",
    )
