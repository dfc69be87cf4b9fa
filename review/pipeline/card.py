"""What a release says of itself: its manifest, and the dataset card that the Hub reads."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from typing import Any

from django.conf import settings

from review.models import Release, VocabularyVersion
from review.writers.formats import FORMATS

from .filters import Filters
from .seal import head
from .select import Counts, pseudonym
from .split import SPLITS

# The formats that the card offers to `load_dataset(folder, NAME)`: the others hold the same.
# Not Parquet beside them: the loader takes all configurations of a folder for one kind of file.
CONFIGS = {"trl": "dpo", "kto": "kto", "sft": "sft", "sft-text": "sft-text"}
PARQUET_ALONE = {"parquet": "dpo"}


def manifest(
    release: Release, filters: Filters, counts: Counts, files: list[dict[str, Any]]
) -> dict[str, Any]:
    project = release.project
    versions = VocabularyVersion.objects.filter(pk__in=counts.versions).order_by("pk")
    return {
        "project": project.name,
        "release": release.number,
        "note": release.note,
        "ordered_at": release.created_at.isoformat(timespec="seconds"),
        "software": {"name": "Tagger", "version": software_version()},
        "formats": release.formats,
        "filters": _without_names(release, filters),
        "counts": counts.as_dict(),
        "vocabulary_versions": [
            {"sha256": one.sha256, "tags": len(one.tags), "at": one.created_at.isoformat()}
            for one in versions
        ],
        "tags_since": changed_tags(release, versions),
        "system_messages": sorted(counts.systems),
        "decisions_sha256": counts.digest.hexdigest(),
        "chain": head().as_dict(),
        "split": "by the sha256 of the document's text: 80 % train, 10 % validation, 10 % test",
        "files": files,
    }


def _without_names(release: Release, filters: Filters) -> dict[str, Any]:
    """Reviewers by their pseudonyms, as in the rows."""
    from django.contrib.auth.models import User

    given = filters.as_dict()
    for name in ("reviewers", "without_reviewers"):
        users = User.objects.filter(username__in=given[name]).order_by("pk")
        given[name] = [pseudonym(release.project, user.pk) for user in users]
    return given


def changed_tags(release: Release, versions: Iterable[VocabularyVersion]) -> list[dict[str, Any]]:
    """Tags that are not today what models were shown: renamed, merged into another, or retired."""
    tags = {tag.number: tag for tag in release.project.tags.select_related("merged_into")}
    ends = release.project.tags.ends()
    by_key = {tag.pk: tag for tag in tags.values()}
    found = {}
    for version in versions:
        for number, name in version.names.items():
            tag = tags.get(number)
            if tag is None:
                continue
            end = by_key[ends[tag.pk]] if tag.pk in ends else None
            if name == tag.name and end is None and tag.retired_at is None:
                continue
            found[number, name] = {
                "id": number,
                "shown_as": name,
                "name": tag.name,
                "merged_into": None if end is None else {"id": end.number, "name": end.name},
                "retired": tag.retired_at is not None,
            }
    return [found[key] for key in sorted(found)]


def software_version() -> str:
    with (settings.BASE_DIR / "pyproject.toml").open("rb") as file:
        return str(tomllib.load(file)["project"]["version"])


def card(release: Release, told: dict[str, Any]) -> str:
    """README.md, from the manifest."""
    counts = told["counts"]
    rows = {file["name"]: file["rows"] for file in told["files"]}
    head = ["---", "tags:", "- dpo", "- preference", "- trl"]
    offered = CONFIGS if set(release.formats) & set(CONFIGS) else PARQUET_ALONE
    configs = [
        line
        for name in release.formats
        if name in offered
        for line in _config(name, offered[name], rows)
    ]
    if configs:
        head += ["configs:", *configs]
    head += [f"size_categories:\n- {_size(counts['pairs'])}", "---", ""]
    body = [
        f"# {told['project']}, release {told['release']}",
        "",
        *([told["note"], ""] if told["note"] else []),
        f"{counts['pairs']:,} preference pairs from {counts['decisions']:,} decisions of people on "
        f"{counts['documents']:,} documents. A model proposed tag sets for each document; a "
        "person picked the best, or gave their own. The prompt is what the model was sent, "
        "to the byte; the answers are the sets as JSON.",
        "",
        "| split | documents' share | pairs |",
        "| --- | --- | --- |",
        *(
            f"| {split} | {share} | {counts['by_split'].get(split, 0):,} |"
            for split, share in zip(SPLITS, ("80 %", "10 %", "10 %"), strict=True)
        ),
        "",
        "The split is by the hash of the document's text: the same text is on the same side in "
        "every release.",
        "",
        "| folder | what it is |",
        "| --- | --- |",
        *(f"| `{name}/` | {FORMATS[name].label} |" for name in release.formats),
        "",
        "`manifest.json` has the filters, what was left out and why, the vocabulary and the "
        "sha256 of each file.",
        "",
    ]
    return "\n".join(head + body)


def _config(name: str, called: str, rows: dict[str, int]) -> list[str]:
    """Without empty files: loaders cannot tell the columns of these."""
    there = [
        (split, file)
        for split in SPLITS
        if rows.get(file := f"{name}/{split}{FORMATS[name].suffix}")
    ]
    if not there:
        return []
    lines = [f"- config_name: {called}", "  data_files:"]
    return lines + [f"  - split: {split}\n    path: {file}" for split, file in there]


def _size(pairs: int) -> str:
    sizes = [(1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K")]
    return next((name for most, name in sizes if pairs < most), "100K<n<1M")
