"""An adapter of a smaller rank: `make test-train` has what it needs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from . import test_training
from .test_preferences import ROWS, file_of
from .test_training import needs_torch

pytestmark = needs_torch
base, small = test_training.base, test_training.small  # fixtures

NAME = "base_model.model.model.layers.0.mlp.up_proj.lora_{}.weight"


def adapter(folder: Path, rank: int, true_rank: int) -> Path:
    """One projection whose change has `true_rank`, written with `rank`."""
    import torch
    from safetensors.torch import save_file

    chance = torch.Generator().manual_seed(0)
    change = torch.randn(12, true_rank, generator=chance) @ torch.randn(
        true_rank, 9, generator=chance
    )
    left, sizes, right = torch.linalg.svd(change, full_matrices=False)
    tensors = {
        NAME.format("A"): (sizes[:rank, None] * right[:rank]).contiguous(),
        NAME.format("B"): left[:, :rank].contiguous(),
    }
    folder.mkdir()
    save_file(tensors, folder / "adapter_model.safetensors", {"format": "pt"})
    (folder / "adapter_config.json").write_text(json.dumps({"r": rank, "lora_alpha": 2 * rank}))
    return folder


def change_of(folder: Path) -> Any:
    from safetensors.torch import load_file

    found = load_file(folder / "adapter_model.safetensors")
    config = json.loads((folder / "adapter_config.json").read_text())
    return found[NAME.format("B")] @ found[NAME.format("A")] * config["lora_alpha"] / config["r"]


def test_what_fits_into_fewer_ranks_is_kept_whole(tmp_path: Path) -> None:
    import torch

    from review.training.narrower import narrow, rank_of

    wide = adapter(tmp_path / "wide", rank=6, true_rank=2)
    kept = narrow(wide, 2, tmp_path / "narrow")
    assert rank_of(tmp_path / "narrow") == 2
    assert kept == pytest.approx(1, abs=1e-6)
    assert torch.allclose(change_of(tmp_path / "narrow"), change_of(wide), atol=1e-4)


def test_of_more_the_weightiest_part_is_kept(tmp_path: Path) -> None:
    import torch

    from review.training.narrower import narrow

    wide = adapter(tmp_path / "wide", rank=6, true_rank=6)
    kept = narrow(wide, 3, tmp_path / "narrow")
    before, now = change_of(wide), change_of(tmp_path / "narrow")
    lost = float(((before - now) ** 2).sum() / (before**2).sum())
    assert kept == pytest.approx(1 - lost, abs=1e-4)
    sizes = torch.linalg.svdvals(before)
    assert lost == pytest.approx(float((sizes[3:] ** 2).sum() / (sizes**2).sum()), abs=1e-4)


def test_it_does_not_grow(tmp_path: Path) -> None:
    from review.training.narrower import narrow

    wide = adapter(tmp_path / "wide", rank=2, true_rank=2)
    with pytest.raises(ValueError, match="has rank 2 already"):
        narrow(wide, 2, tmp_path / "narrow")


def test_a_training_narrows_what_it_goes_on_from(small: Path, tmp_path: Path) -> None:
    from review.readers.preferences import read_preferences
    from review.training.narrower import rank_of
    from review.training.preferences import Course, train

    with file_of(tmp_path, *ROWS).open("rb") as file:
        questions = read_preferences(file)
    short: dict[str, Any] = {"sft_epochs": 0.5, "epochs": 0.5, "rate": 1e-3, "pack": 3}
    train(questions, small, tmp_path / "wide", Course(rank=6, **short))
    train(questions, small, tmp_path / "out", Course(rank=2, **short), start=tmp_path / "wide")
    assert rank_of(tmp_path / "out") == 2
    left = {path.name for path in (tmp_path / "out").iterdir()}
    assert "narrowed" not in left
