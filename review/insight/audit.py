"""How right what was let through is: by those kept for people, who were not told.

Any of what is above the threshold is as likely as another to be kept, so these speak for the
rest.
"""

from __future__ import annotations

from dataclasses import dataclass

from review.models import Acceptance, AutoAccept, Decision, DecisionKind, Purpose
from review.models.decision import REVIEWS

from .confidence import interval

MOST = 300  # audited documents, the latest


@dataclass(frozen=True)
class Audit:
    """Since the switch was last turned on; of the audited the latest 300.

    let_through: documents, and not taken back since. kept: for the audit. audited: those of
    them that were reviewed. agreed: their first candidate was picked unchanged. low, high: the
    interval of that share.
    """

    let_through: int
    kept: int
    audited: int
    agreed: int
    low: float
    high: float

    @property
    def precision(self) -> float | None:
        return self.agreed / self.audited if self.audited else None

    @property
    def margin(self) -> float:
        """Half of the interval: "97 % ± 2"."""
        return (self.high - self.low) / 2

    def breaks(self, promise: float) -> bool:
        """Whether the promise is broken beyond doubt: the whole interval is below it."""
        return bool(self.audited) and self.high < promise


def audit(auto: AutoAccept) -> Audit:
    since = Acceptance.objects.filter(project=auto.project, created_at__gte=auto.on_at)
    reviews = (
        Decision.objects.standing()
        .filter(
            kind__in=REVIEWS,
            proposal__acceptance__in=since.filter(decision=None),
        )
        .order_by("-pk")
        .values_list("proposal", "kind", "candidate__rank")
    )
    first: dict[int, bool] = {}  # by proposal; the first review's word is the last that is read
    for proposal, kind, rank in reviews:
        if proposal not in first and len(first) == MOST:
            break
        first[proposal] = kind == DecisionKind.PICK and rank == 1
    agreed = sum(first.values())
    return Audit(
        since.filter(decision__standing__purpose=Purpose.MACHINE).count(),
        since.filter(decision=None).count(),
        len(first),
        agreed,
        *interval(agreed, len(first)),
    )
