"""Attention over a stem with branches: `attn_implementation=BRANCHES`.

Each branch is attended for itself, with the stem's keys before its own. One mask over the whole
sequence would say the same, at a multiple of the work: most of it would be masked out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

from .packing import Pack

BRANCHES = "branches"


@dataclass(frozen=True)
class Branches:
    """lengths: of the stem, then of each branch. masks: for each branch, to be added."""

    lengths: list[int]
    masks: list[torch.Tensor]


def branches_of(pack: Pack, dtype: torch.dtype) -> Branches:
    """Made once a pack, for all layers."""
    masks = []
    for length in pack.branches:
        mask = torch.zeros(length, pack.stem + length, dtype=dtype)
        mask[:, pack.stem :] = torch.full((length, length), -torch.inf, dtype=dtype).triu(1)
        masks.append(mask[None, None])
    return Branches([pack.stem, *pack.branches], masks)


def attend(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: None,
    *,
    scaling: float,
    branches: Branches,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """transformers' attention interface: (1, heads, tokens, size) → (1, tokens, heads, size).

    branches: the model's forward hands it on, as all that it does not know.
    """
    queries, keys, values = (part.split(branches.lengths, dim=2) for part in (query, key, value))
    stem = scaled_dot_product_attention(
        queries[0], keys[0], values[0], is_causal=True, scale=scaling, enable_gqa=True
    )
    seen = [stem]
    for place, mask in enumerate(branches.masks, start=1):
        seen.append(
            scaled_dot_product_attention(
                queries[place],
                torch.cat([keys[0], keys[place]], dim=2),
                torch.cat([values[0], values[place]], dim=2),
                attn_mask=mask,
                scale=scaling,
                enable_gqa=True,
            )
        )
    return torch.cat(seen, dim=2).transpose(1, 2).contiguous(), None


AttentionInterface.register(BRANCHES, attend)
