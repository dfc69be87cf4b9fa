"""Why an act is refused. Each says it in a sentence for a person; nothing was changed."""

from __future__ import annotations

from collections.abc import Sequence

from django.utils.translation import gettext as _

from review.models import Project, Tag


class Conflict(Exception):
    """The act does not fit the document as it now is."""


class NotATagSet(ValueError):
    """The set that a person gave cannot be one."""


def check_set(project: Project, tags: Sequence[Tag]) -> None:
    """Raises NotATagSet for none, too many, a repeat, or a tag that is not to be used any more."""
    if not 1 <= len(tags) <= project.max_tags:
        told = _("A document gets 1 to %(most)d tags, not %(given)d.")
        raise NotATagSet(told % {"most": project.max_tags, "given": len(tags)})
    if len(set(tags)) != len(tags):
        raise NotATagSet(_("A tag can be given once."))
    for tag in tags:
        if tag.project_id != project.pk or tag.retired_at or tag.merged_into_id:
            raise NotATagSet(_("“%(tag)s” is not in the vocabulary any more.") % {"tag": tag})
