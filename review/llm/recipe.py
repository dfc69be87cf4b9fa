"""How a model is asked. Which recipe suits a model is found by measuring: `manage.py evaluate`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """prompt: a name in `prompt.VERSIONS`. plan: a name in `sampling.PLANS`.

    shortlist: how many of the likeliest tags the model is offered; 0 for all of them.
    examples: how many similar reviewed documents it is shown.
    """

    prompt: str
    plan: str
    shortlist: int = 0
    examples: int = 0


EMBEDDED = Recipe(prompt="adapter-2", plan="composed")
CONFIGURED = Recipe(prompt="full-3", plan="samples", examples=4)
