"""What Prometheus reads: counted when it asks, from the rows, so that every process says the same.

Counters count since midnight (UTC); Prometheus knows counters that begin anew. A scrape costs some
twenty small queries, whatever there is: what was counted once is kept, and only what came since is
read.
"""

from __future__ import annotations

import datetime
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

import redis
from django.db.models import Count, Func, IntegerField, Q, Sum
from django.utils import timezone
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from review import latency
from review.models import (
    Batch,
    Budget,
    Decision,
    Delivery,
    DeliveryState,
    Document,
    DocumentState,
    Import,
    ImportState,
    Price,
    Proposal,
    Release,
    ReleaseState,
    ServedModel,
    Tally,
    Training,
    TrainingState,
)
from review.models.budget import MILLIONTHS

from . import budget, health, signs

SETTLED = datetime.timedelta(minutes=2)  # rows older than that: none of them is still being written
MOST = 1000  # of what is few: more is not counted

Counts = Counter[tuple[str, str]]  # by what is counted, and of which model or kind


class CallsOf(Func):
    """How many calls a proposal took."""

    output_field = IntegerField()

    def as_sqlite(self, compiler, connection, **more):  # type: ignore[no-untyped-def]
        return self.as_sql(compiler, connection, function="JSON_ARRAY_LENGTH", **more)

    def as_postgresql(self, compiler, connection, **more):  # type: ignore[no-untyped-def]
        return self.as_sql(compiler, connection, function="JSONB_ARRAY_LENGTH", **more)


@dataclass
class Today:
    """What was counted already: of the rows from midnight on until a while ago."""

    day: datetime.date | None = None
    until: datetime.datetime = field(default_factory=timezone.now)
    counts: Counts = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def counted(self) -> Counts:
        with self.lock:
            now, day = timezone.now(), budget.today()
            if day != self.day:
                midnight = datetime.datetime.combine(day, datetime.time(), datetime.UTC)
                self.day, self.until, self.counts = day, midnight, Counter()
            settled = max(self.until, now - SETTLED)
            self.counts += count(self.until, settled)
            self.until = settled
            return self.counts + count(settled, None)

    def forget(self) -> None:
        with self.lock:
            self.day = None


_today = Today()
forget = _today.forget


def count(since: datetime.datetime, until: datetime.datetime | None) -> Counts:
    """Proposals and decisions made from `since` on and before `until`."""
    when = Q(created_at__gte=since)
    if until is not None:
        when &= Q(created_at__lt=until)
    found: Counts = Counter()
    proposals = Proposal.objects.filter(when).values_list("model")
    rows = proposals.annotate(
        Count("pk"),
        unanswered=Count("pk", filter=~Q(error="")),
        made=Sum(CallsOf("calls")),
        sent=Sum("tokens_in"),
        cached=Sum("tokens_cached"),
        said=Sum("tokens_out"),
        took=Sum("seconds"),
    )
    names = ("proposals", "unanswered", "calls", "in", "cached", "out", "seconds")
    for model, *sums in rows.order_by():
        found.update({(name, model): amount or 0 for name, amount in zip(names, sums, strict=True)})
    kinds = Decision.objects.filter(when).values_list("kind").annotate(Count("pk")).order_by()
    found.update({("decisions", kind): amount for kind, amount in kinds})
    return found


def text() -> bytes:
    """In Prometheus' text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Rows())
    return generate_latest(registry)


class Rows(Collector):
    def describe(self) -> list[Metric]:
        return []  # so that nothing is counted to find out the names

    def collect(self) -> Iterator[Metric]:
        yield from standing()
        yield from parts()
        yield from of_today()
        yield from latencies()


def standing() -> Iterator[Metric]:
    """How the documents stand now."""
    now = timezone.now()
    documents = gauge("documents", "Documents by state.", "state")
    for state, number in Tally.objects.in_all().items():
        documents.add_metric([state], number)
    yield documents
    arrived = health.oldest_waiting()
    age = (now - arrived).total_seconds() if arrived else 0
    yield gauge("oldest_waiting_seconds", "Since the oldest came that waits for the model.", age)
    past = Document.objects.filter(state=DocumentState.PROPOSING, lease_expires_at__lte=now)
    yield gauge(
        "leases_past_end",
        "Documents in a worker's hands past their lease: the sweeper takes them back.",
        past.values("pk")[:MOST].count(),
    )


def parts() -> Iterator[Metric]:
    found = health.parts()
    up = gauge("part_up", "1: the part is well. 0.5: degraded. 0: down.", "part")
    worth = {health.Condition.OK: 1.0, health.Condition.DEGRADED: 0.5, health.Condition.DOWN: 0.0}
    for part in found:
        up.add_metric([part.name], worth[part.condition])
    yield up
    with suppress(redis.RedisError, OSError):  # then it is not known
        yield gauge("workers", "Celery workers heard of in the last minute.", len(signs.workers()))
    at = health.last_sweep()
    if at is not None:
        yield gauge("last_sweep_timestamp_seconds", "When the sweeper last ran.", at.timestamp())
    broken = gauge("breaker_open", "1: the model's server is left alone.", "model")
    failing = gauge("model_failures", "Of the model's server, since it last answered.", "model")
    worst: dict[str, tuple[int, int]] = {}
    for row in ServedModel.objects.only("model", "open_until", "failures").order_by("-pk")[:MOST]:
        is_open, failures = worst.get(row.model, (0, 0))
        worst[row.model] = (
            max(is_open, int(row.open_until is not None)),
            max(failures, row.failures),
        )
    for model, (is_open, failures) in worst.items():
        broken.add_metric([model], is_open)
        failing.add_metric([model], failures)
    yield broken
    yield failing
    left = gauge("budget_spent_ratio", "Of a cap, by project: at 1 its documents wait.", "project")
    for kept in Budget.objects.all()[:MOST]:
        if kept.is_capped:
            left.add_metric([str(kept.project_id)], spent(kept))
    yield left


def spent(row: Budget) -> float:
    """Of the cap that is nearest."""
    tokens, money = row.today(budget.today())
    caps = (
        (tokens, row.tokens_a_day),
        (row.all_tokens, row.tokens_in_all),
        (money, row.money_a_day),
        (row.all_money, row.money_in_all),
    )
    return max(counted / cap for counted, cap in caps if cap)


def of_today() -> Iterator[Metric]:
    counts = _today.counted()
    prices = {price.model: price for price in Price.objects.all()}
    models = sorted({model for name, model in counts if name == "proposals"})
    proposals = counter("proposals", "Runs of a model over a document, today.", "model")
    calls = counter("model_calls", "Calls of them, today.", "model")
    seconds = counter("model_seconds", "Seconds that they took, today.", "model")
    tokens = counter("tokens", "Tokens of them, today; cached: of those in.", "model", "way")
    money = counter("spend", "What they cost at today's prices, today.", "model")
    for model in models:
        proposals.add_metric([model], counts["proposals", model])
        calls.add_metric([model], counts["calls", model])
        seconds.add_metric([model], counts["seconds", model])
        ways = [int(counts[way, model]) for way in ("in", "cached", "out")]
        for way, amount in zip(("in", "cached", "out"), ways, strict=True):
            tokens.add_metric([model, way], amount)
        if price := prices.get(model):
            money.add_metric([model], price.of(*ways) / MILLIONTHS)
    yield from (proposals, calls, seconds, tokens, money)
    decisions = counter("decisions", "Decisions of people and of auto-accept, today.", "kind")
    for (name, kind), amount in sorted(counts.items()):
        if name == "decisions":
            decisions.add_metric([kind], amount)
    yield decisions
    failures = gauge("failures", "What failed: proposals today, the others that stand.", "kind")
    unanswered = sum(amount for (name, _), amount in counts.items() if name == "unanswered")
    failures.add_metric(["proposal"], unanswered)
    for kind, rows in (
        ("import", Import.objects.filter(state=ImportState.REFUSED)),
        ("release", Release.objects.filter(state=ReleaseState.FAILED)),
        ("training", Training.objects.filter(state=TrainingState.FAILED)),
        ("batch", Batch.objects.exclude(error="")),
    ):
        failures.add_metric([kind], rows.values("pk")[:MOST].count())
    yield failures
    late = Delivery.objects.filter(
        state=DeliveryState.PENDING, next_at__lte=timezone.now() - datetime.timedelta(minutes=5)
    )
    yield gauge(
        "webhooks_late", "Deliveries due for five minutes.", late.values("pk")[:MOST].count()
    )


def latencies() -> Iterator[Metric]:
    counts, seconds = latency.counted()
    bounds = [*(str(bound) for bound in latency.BOUNDS), "+Inf"]
    so_far, buckets = 0, []
    for bound, number in zip(bounds, counts, strict=True):
        so_far += number
        buckets.append((bound, float(so_far)))
    told = "Seconds that the web took to answer a decision, since it was started."
    yield HistogramMetricFamily("tagger_decision_seconds", told, buckets, sum_value=seconds)


def gauge(name: str, told: str, label_or_value: str | float) -> GaugeMetricFamily:
    if isinstance(label_or_value, str):
        return GaugeMetricFamily(f"tagger_{name}", told, labels=[label_or_value])
    return GaugeMetricFamily(f"tagger_{name}", told, value=float(label_or_value))


def counter(name: str, told: str, *labels: str) -> CounterMetricFamily:
    return CounterMetricFamily(f"tagger_{name}", told, labels=labels)
