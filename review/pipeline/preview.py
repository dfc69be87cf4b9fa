"""The messages that a model would be sent for a document, by any version of the prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from review.llm.client import Endpoint
from review.llm.likeness import Example
from review.llm.prompt import VERSIONS, Prompt, characters_read, estimate_tokens
from review.llm.reading import blocks
from review.llm.recipe import CONFIGURED
from review.models import Document, Project, VocabularyVersion

from . import ranking
from .endpoint import NoModel, configured_endpoint
from .learn import similar, why
from .propose import asked_as, sample

MOST_LEFT_OUT = 50  # passages that are told


@dataclass(frozen=True)
class Chosen:
    """An example, and the words for which it was chosen."""

    example: Example
    document: Document | None  # None: deleted at this moment
    words: list[str]


@dataclass(frozen=True)
class Preview:
    """read: characters of the document's beginning that are sent; None where parts are chosen.

    left_out: passages that are not sent, in plain words; for None only.
    """

    prompt: Prompt
    tokens_system: int
    tokens_user: int
    read: int | None
    left_out: Sequence[str]
    examples: Sequence[Chosen]


def active(project: Project) -> str:
    """The version that the project's documents are asked with now."""
    return _endpoint(project).recipe.prompt


def preview(project: Project, document: Document, version: str) -> Preview:
    """Asks no model."""
    endpoint = _endpoint(project)
    # The embedded model's recipe has no examples: those of a server are shown.
    count = endpoint.recipe.examples or CONFIGURED.examples
    recipe = replace(endpoint.recipe, prompt=version, examples=count)
    prompt = sample(
        replace(endpoint, recipe=recipe),
        project.guidelines,
        VocabularyVersion.current(project).tags,
        project.max_tags,
        document.title,
        document.text,
        partial(similar, project, besides=document),
        partial(ranking.ranker, project, VocabularyVersion.current(project)),
    ).prompt
    read = characters_read(version, prompt.user)
    left_out = []
    if prompt.cut and read is None:
        all_blocks = (block.text for block in blocks(document.text))
        left_out = [said for said in all_blocks if said not in prompt.user]
    documents = project.documents.defer("text", "html").in_bulk(
        [int(example.id) for example in prompt.examples]
    )
    return Preview(
        prompt,
        estimate_tokens(prompt.system),
        estimate_tokens(prompt.user),
        read,
        left_out[:MOST_LEFT_OUT],
        [
            Chosen(
                one, documents.get(int(one.id)), why(project, document.title, document.text, one)
            )
            for one in prompt.examples
        ],
    )


def versions() -> dict[str, str]:
    """Each version's name, and what it says of itself in a line."""
    return {
        name: (build.__doc__ or "").strip().partition("\n")[0].replace("`", "")
        for name, build in VERSIONS.items()
    }


def _endpoint(project: Project) -> Endpoint:
    try:
        return asked_as(configured_endpoint(project), project)
    except NoModel:
        return asked_as(Endpoint("", "", "", CONFIGURED), project)
