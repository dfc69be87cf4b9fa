"""A run that measured well → how its model is asked from now on.

Wherever the settings name that model at that address, for all projects; a project's own choice of
the prompt goes before it (`propose.asked_as`).
"""

from __future__ import annotations

from django.utils import timezone
from django.utils.translation import gettext as _

from review.insight.compare import Difference
from review.insight.runs import compared
from review.llm.recipe import CONFIGURED, EMBEDDED, Recipe
from review.models import Evaluation, ServedModel

from .endpoint import ON_LOOPBACK, adopted, usable


class NotAdopted(Exception):
    """Nothing was changed. The message says why."""


class ClearlyWorse(NotAdopted):
    """It may be adopted all the same, by those who insist."""


def adopt(run: Evaluation, *, anyway: bool = False) -> ServedModel:
    """Ask the run's model by the run's recipe. Returns the model's row.

    Raises NotAdopted; ClearlyWorse, unless `anyway`, where the run that the model is asked by now
    was clearly better in F1 of the first, on the documents that both were measured with.

    What was learned of its confidence counts no longer, but where it was asked by that very
    recipe already: see calibrate.py.
    """
    if problem := unfit(run):
        raise NotAdopted(problem)
    row = row_for(run)
    before = row.adopted_from if row else None
    if before and not anyway and (found := loss(before, run)):
        told = _(
            "Run %(run)d is clearly worse than run %(before)d, by which the model is asked now: "
            "F1 of the first %(value)+.3f (%(low)+.3f to %(high)+.3f)."
        )
        numbers = {"value": found.value, "low": found.low, "high": found.high}
        raise ClearlyWorse(told % {"run": run.pk, "before": before.pk, **numbers})
    fields = {"recipe": run.recipe, "adopted_from": run}
    if row is None or row.adopted_at is None or asked_now(run, row) != usable(run.recipe):
        fields["adopted_at"] = timezone.now()
    served, _made = ServedModel.objects.update_or_create(
        base_url=run.endpoint, model=run.model, defaults=fields
    )
    return served


def row_for(run: Evaluation) -> ServedModel | None:
    """Of the model that the run asked; None before that was first asked for a proposal."""
    rows = ServedModel.objects.select_related("adopted_from")
    return rows.filter(base_url=run.endpoint, model=run.model).first()


def asked_now(run: Evaluation, row: ServedModel | None) -> Recipe:
    """How the run's model is asked, whatever the run was asked with."""
    return adopted(row) or (EMBEDDED if run.endpoint == ON_LOOPBACK else CONFIGURED)


def unfit(run: Evaluation) -> str:
    """Why no model can be asked by the run's recipe, in a sentence; empty where one can."""
    if not run.model:
        return _("Run %(run)d asked no model: it has no recipe.") % {"run": run.pk}
    recipe = usable(run.recipe)
    if recipe is None:
        return _(
            "Run %(run)d was asked by a prompt or a plan that this version of Tagger does not have."
        ) % {"run": run.pk}
    if run.endpoint == ON_LOOPBACK and recipe.prompt != EMBEDDED.prompt:
        return _(
            "The embedded model is asked by the prompt %(own)s only: its adapter was trained for "
            "it. Run %(run)d has the prompt %(prompt)s."
        ) % {"own": EMBEDDED.prompt, "run": run.pk, "prompt": recipe.prompt}
    return ""


def loss(before: Evaluation, run: Evaluation) -> Difference | None:
    """The difference in F1 of the first, where `run` is clearly worse on the same documents."""
    found = compared(before, run) if before != run else None
    for one in found.differences if found else []:
        if one.name == "document_f1" and one.high < 0:
            return one
    return None
