"""The READMEs of the Python packages installed here: real third-party text, without a download."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import Distribution, distributions
from typing import Any

from . import Incoming


def read_installed_packages() -> Iterator[Incoming]:
    """Yield the README of every installed distribution, by name.

    The id is the distribution's name in lower case. What is shorter than 200 characters
    is no README and yields nothing; other markup than Markdown is shown as plain text.
    """
    found = {(dist.metadata["Name"] or "").lower(): dist for dist in distributions()}
    for name in sorted(filter(None, found)):
        metadata = found[name].metadata
        text = readme(found[name])
        if len(text) >= 200:
            is_markdown = "markdown" in (metadata["Description-Content-Type"] or "").lower()
            yield Incoming(
                name,
                text,
                title=metadata["Name"],
                source=home(found[name]),
                markup="markdown" if is_markdown else "plain",
            )


def readme(dist: Distribution) -> str:
    payload: Any = getattr(dist.metadata, "get_payload", str)()  # the body, in older metadata
    text = str(dist.metadata["Description"] or payload or "")
    return text.replace("\0", "").strip()


def home(dist: Distribution) -> str:
    """The address of the project's page, as its metadata gives it, or ""."""
    for line in dist.metadata.get_all("Project-URL") or []:
        label, _, address = line.partition(",")
        if label.strip().lower() in ("homepage", "home", "source", "repository", "source code"):
            return str(address).strip()
    return str(dist.metadata["Home-page"] or "")
