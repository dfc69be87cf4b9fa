"""What a project's models have cost, what they may cost, and their prices: for the owner."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from review.insight.spending import lately
from review.models import Budget, Price, Project, Role
from review.models.budget import MILLIONTHS
from review.pipeline import budget

from .access import project_of, signed_in

MOST = 10**12  # of tokens, and of money: a cap beyond is a slip of the finger


class Caps(forms.Form):
    """Empty: no cap. Money in the currency of the prices."""

    tokens_a_day = forms.IntegerField(
        label=gettext_lazy("Tokens a day"), required=False, min_value=1, max_value=MOST
    )
    tokens_in_all = forms.IntegerField(
        label=gettext_lazy("Tokens in all"), required=False, min_value=1, max_value=MOST
    )
    money_a_day = forms.DecimalField(
        label=gettext_lazy("Money a day"),
        required=False,
        min_value=Decimal("0.01"),
        max_value=MOST,
        decimal_places=6,
    )
    money_in_all = forms.DecimalField(
        label=gettext_lazy("Money in all"),
        required=False,
        min_value=Decimal("0.01"),
        max_value=MOST,
        decimal_places=6,
    )

    def caps(self) -> budget.Caps:
        data = self.cleaned_data
        money = {
            name: None if data[name] is None else int(data[name] * MILLIONTHS)
            for name in ("money_a_day", "money_in_all")
        }
        return budget.Caps(data["tokens_a_day"], data["tokens_in_all"], **money)


class PriceForm(forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = Price
        fields = ["model", "tokens_in", "cached", "tokens_out"]
        labels = {
            "model": gettext_lazy("Model"),
            "tokens_in": gettext_lazy("A million tokens in"),
            "cached": gettext_lazy("Of those from a cache"),
            "tokens_out": gettext_lazy("A million tokens out"),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in ("tokens_in", "cached", "tokens_out"):
            field = self.fields[name]
            field.widget.attrs |= {"min": 0, "max": MILLIONTHS, "step": "any"}
            field.validators += forms.FloatField(min_value=0, max_value=MILLIONTHS).validators


@dataclass(frozen=True)
class Bar:
    """One cap, and what counts towards it."""

    name: str
    spent: Decimal
    cap: Decimal
    is_money: bool

    @property
    def percent(self) -> int:
        return min(100, int(100 * self.spent / self.cap))


@require_safe
@login_required
@never_cache
def page(request: HttpRequest) -> HttpResponse:
    project = project_of(signed_in(request), Role.OWNER)
    return shown(request, project)


def shown(
    request: HttpRequest,
    project: Project,
    caps: Caps | None = None,
    price: PriceForm | None = None,
    status: int = 200,
) -> HttpResponse:
    kept = Budget.objects.filter(project=project).first()
    by_model, by_day = lately(project)
    context = {
        "project": project,
        "bars": bars(kept) if kept else [],
        "caps": caps or Caps(initial=initial(kept) if kept else {}),
        "price": price or PriceForm(auto_id="price_%s"),
        "prices": Price.objects.order_by("model"),
        "by_model": [(one, money(one.money)) for one in by_model],
        "by_day": [(one, money(one.money)) for one in by_day],
        "most": max((one.tokens for one in by_day), default=0),
    }
    return render(request, "review/spending.html", context, status=status)


@require_POST
@login_required
def cap(request: HttpRequest) -> HttpResponse:
    project = project_of(signed_in(request), Role.OWNER)
    form = Caps(request.POST)
    if not form.is_valid():
        return shown(request, project, caps=form, status=422)
    budget.cap(project, form.caps())
    messages.success(request, _("The caps are kept. Documents that waited for them are tried now."))
    return redirect("spending")


@require_POST
@login_required
def price(request: HttpRequest) -> HttpResponse:
    """Set the price of a model, which may have one; without any figure it has none any more."""
    project = project_of(signed_in(request), Role.OWNER)
    known = Price.objects.filter(model=request.POST.get("model", "").strip()).first()
    form = PriceForm(request.POST, instance=known, auto_id="price_%s")
    if not form.is_valid():
        return shown(request, project, price=form, status=422)
    form.save()
    told = _("The price of %(model)s is kept, for all projects.")
    messages.success(request, told % {"model": form.cleaned_data["model"]})
    return redirect("spending")


def bars(kept: Budget) -> list[Bar]:
    tokens, millionths = kept.today(budget.today())
    found = [
        (_("Tokens today (UTC)"), tokens, kept.tokens_a_day, 1),
        (_("Money today (UTC)"), millionths, kept.money_a_day, MILLIONTHS),
        (_("Tokens in all"), kept.all_tokens, kept.tokens_in_all, 1),
        (_("Money in all"), kept.all_money, kept.money_in_all, MILLIONTHS),
    ]
    return [
        Bar(name, Decimal(spent) / unit, Decimal(cap) / unit, unit > 1)
        for name, spent, cap, unit in found
        if cap is not None
    ]


def initial(kept: Budget) -> dict[str, Any]:
    return {
        "tokens_a_day": kept.tokens_a_day,
        "tokens_in_all": kept.tokens_in_all,
        "money_a_day": money(kept.money_a_day),
        "money_in_all": money(kept.money_in_all),
    }


def money(millionths: int | None) -> Decimal | None:
    """In the currency of the prices; None stays None."""
    return None if millionths is None else Decimal(millionths) / MILLIONTHS
