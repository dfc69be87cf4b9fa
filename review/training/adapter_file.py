"""PEFT's folder → the GGUF file that llama.cpp loads as an adapter; and back, to go on from one.

llama.cpp keeps the rows of `q_proj` and `k_proj` in another order than transformers: each head's
two halves are interleaved, as its rotation of positions wants them. An adapter whose rows are
left as they are loads without a word, and answers wrongly.
Source: llama.cpp, convert_lora_to_gguf.py, and `LlamaModel.permute` of its conversion.
"""

from __future__ import annotations

import json
import logging
import os
import re
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from peft import LoraConfig
from safetensors import safe_open
from safetensors.numpy import save_file

logging.getLogger("gguf").setLevel(logging.WARNING)

NAMES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
TENSOR = re.compile(r"base_model\.model\.model\.layers\.(\d+)\.([\w.]+)\.lora_([AB])\.weight")
SERVED = re.compile(r"blk\.(\d+)\.(\w+)\.weight\.lora_([ab])")
# What llama.cpp would not notice, or not do.
REFUSED = (
    "use_dora",
    "use_rslora",
    "modules_to_save",
    "rank_pattern",
    "alpha_pattern",
    "lora_bias",
)

Array = Any  # numpy's


def write(adapter: Path, base: Path, file: Path) -> int:
    """Write `adapter`, a LoRA of the llama-like model in `base`, to `file`; count its tensors.

    In float16, which is as close as float32 here. Raises ValueError for what is not a plain LoRA.
    """
    config = json.loads((adapter / "adapter_config.json").read_text())
    if more := [name for name in REFUSED if config.get(name)]:
        raise ValueError(f"This is not a plain LoRA, and llama.cpp cannot serve it: {more[0]}.")
    model = json.loads((base / "config.json").read_text())
    heads = {"attn_q": model["num_attention_heads"], "attn_k": model["num_key_value_heads"]}
    beside = file.with_name(f"{file.name}.part")
    out = gguf.GGUFWriter(beside, model["model_type"])
    out.add_type(gguf.GGUFType.ADAPTER)
    out.add_string(gguf.Keys.Adapter.TYPE, "lora")
    out.add_float32(gguf.Keys.Adapter.LORA_ALPHA, float(config["lora_alpha"]))
    count = 0
    with safe_open(adapter / "adapter_model.safetensors", "numpy") as tensors:
        for name in sorted(tensors.keys()):
            found = TENSOR.fullmatch(name)
            if not found or found[2] not in NAMES:
                raise ValueError(f"This is not a LoRA of a llama-like model's projections: {name}.")
            called, side = NAMES[found[2]], found[3]
            weights = tensors.get_tensor(name).astype(np.float16)
            if not np.isfinite(weights).all():
                raise ValueError(f"{name} holds what is no number: the training went astray.")
            if side == "B" and called in heads:
                weights = rows_of_llama_cpp(weights, heads[called])
            out.add_tensor(
                f"blk.{found[1]}.{called}.weight.lora_{side.lower()}", np.ascontiguousarray(weights)
            )
            count += 1
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()
    os.replace(beside, file)
    return count


def rows_of_llama_cpp(weights: Array, heads: int) -> Array:
    """The rows in llama.cpp's order: of each head, one of its first half, one of its second, …"""
    halves = weights.reshape(heads, 2, len(weights) // heads // 2, *weights.shape[1:])
    return halves.swapaxes(1, 2).reshape(weights.shape)


def read(file: Path, base: Path, out: Path) -> int:
    """Write llama.cpp's `file`, a LoRA of the model in `base`, to `out` as PEFT keeps it.

    `out` is a folder. In float32; counts the tensors. Raises ValueError for what is no such file.
    """
    try:
        found = gguf.GGUFReader(file)
    except (ValueError, IndexError, KeyError) as error:
        raise ValueError(f"{file} is no GGUF file, or not whole: {error}") from error
    model = json.loads((base / "config.json").read_text())
    told = {name: field.contents() for name, field in found.fields.items()}
    kind = told.get(gguf.Keys.General.TYPE), told.get(gguf.Keys.Adapter.TYPE)
    if (
        kind != ("adapter", "lora")
        or told.get(gguf.Keys.General.ARCHITECTURE) != model["model_type"]
    ):
        raise ValueError(f"{file} is not a LoRA of a {model['model_type']} model.")
    heads = {"attn_q": model["num_attention_heads"], "attn_k": model["num_key_value_heads"]}
    ours = {called: name for name, called in NAMES.items()}
    tensors: dict[str, Array] = {}
    places: set[tuple[int, str, str]] = set()
    ranks: set[int] = set()
    for tensor in found.tensors:
        name = SERVED.fullmatch(tensor.name)
        if not name or name[2] not in ours or tensor.data.dtype not in (np.float16, np.float32):
            raise ValueError(f"{file} has more than a plain LoRA: {tensor.name}.")
        layer, called, side = int(name[1]), name[2], name[3]
        weights = tensor.data.astype(np.float32)
        if side == "b" and called in heads:
            weights = rows_of_transformers(weights, heads[called])
        ranks.add(weights.shape[0 if side == "a" else 1])
        places.add((layer, called, side))
        tensors[
            f"base_model.model.model.layers.{layer}.{ours[called]}.lora_{side.upper()}.weight"
        ] = np.ascontiguousarray(weights)
    layers = range(model["num_hidden_layers"])
    used = {called for _, called, _ in places}
    if places != {(at, called, side) for at in layers for called in used for side in "ab"}:
        raise ValueError(f"{file} is of a model with other layers than {base.name}.")
    if len(ranks) != 1:
        raise ValueError(f"{file} has tensors of several ranks, or none.")
    out.mkdir(parents=True, exist_ok=True)
    save_file(tensors, out / "adapter_model.safetensors", {"format": "pt"})
    LoraConfig(
        r=ranks.pop(),
        lora_alpha=told[gguf.Keys.Adapter.LORA_ALPHA],
        target_modules=sorted(ours[called].rpartition(".")[2] for called in used),
        task_type="CAUSAL_LM",
        base_model_name_or_path=str(base),
    ).save_pretrained(out)
    return len(tensors)


def as_folder(adapter: Path, base: Path, beside: Path) -> Path:
    """The adapter as PEFT keeps it: `adapter`, or where that is llama.cpp's file, `beside`."""
    if adapter.is_file():
        read(adapter, base, beside)
        return beside
    if not (adapter / "adapter_model.safetensors").is_file():
        raise ValueError(f"There is no adapter at {adapter}: name PEFT's folder or a .gguf file.")
    return adapter


def rows_of_transformers(weights: Array, heads: int) -> Array:
    """The rows in transformers' order again: what `rows_of_llama_cpp` was given."""
    halves = weights.reshape(heads, len(weights) // heads // 2, 2, *weights.shape[1:])
    return halves.swapaxes(1, 2).reshape(weights.shape)
