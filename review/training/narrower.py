"""A LoRA → one of a smaller rank: of each projection's change, what weighs most.

The best that so few ranks can do (C. Eckart and G. Young, "The approximation of one matrix by
another of lower rank", Psychometrika 1, 1936). A training goes on from it in half the memory,
and leaves a file of half the size.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file


def rank_of(adapter: Path) -> int:
    """Of an adapter as PEFT keeps it."""
    return int(json.loads((adapter / "adapter_config.json").read_text())["r"])


def narrow(adapter: Path, rank: int, out: Path) -> float:
    """Write `adapter` with this rank to `out`, both as PEFT keeps them.

    Returns the share of its change that is kept: of the squares of all weights. Raises
    ValueError where it has no more than that rank.
    """
    config = json.loads((adapter / "adapter_config.json").read_text())
    had = config["r"]
    if had <= rank:
        raise ValueError(f"{adapter} has rank {had} already, which is not more than {rank}.")
    found = load_file(adapter / "adapter_model.safetensors")
    made, kept, whole = {}, 0.0, 0.0
    for name in sorted(found):
        if not name.endswith("lora_A.weight"):
            continue
        other = name.replace("lora_A", "lora_B")
        # B·A through the small matrices of their QR decompositions, exactly.
        left, of_left = torch.linalg.qr(found[other].double())
        right, of_right = torch.linalg.qr(found[name].double().T)
        turned, sizes, back = torch.linalg.svd(of_left @ of_right.T)
        roots = sizes[:rank].sqrt()
        made[other] = (left @ turned[:, :rank] * roots).float().contiguous()
        made[name] = ((right @ back.T[:, :rank]) * roots).T.float().contiguous()
        kept += float((sizes[:rank] ** 2).sum())
        whole += float((sizes**2).sum())
    out.mkdir(parents=True, exist_ok=True)
    save_file(made, out / "adapter_model.safetensors", {"format": "pt"})
    # What a LoRA adds is multiplied by alpha / rank, which stays the same.
    config |= {"r": rank, "lora_alpha": config["lora_alpha"] * rank / had}
    (out / "adapter_config.json").write_text(json.dumps(config, indent=1) + "\n")
    return kept / whole
