"""The sampling ledger: how often each model was drawn, beside how often the sampler meant to draw it.

Chatbot Arena (arXiv 2403.04132, equations 4 and 7) stays valid only if every pair can be drawn and the probability is known; "The
Leaderboard Illusion" (arXiv 2504.20879) shows what uneven draws do to a board. Kept: the probability of every battle, Kish's
effective sample size. Different: totals are carried from board to board, as battles without a vote are deleted in time.
Test: tests/ranking/fits/test_sampling_ledger.py (carried totals equal one count of everything; a fair sampler is within chance).
"""

from collections import Counter
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, F, Max, Min, Sum

from arena import clock, pairing
from arena.models import Battle
from arena.models.battles import Origin

LAG = timedelta(seconds=60)  # a battle is visible at its commit, a little after `created_at`
SUMS = ("battles", "inverse_p", "inverse_p2")


def account(origin: str, before: dict[str, Any] | None) -> dict[str, Any] | None:
    """The ledger of all battles of an origin up to a minute ago; `before`: the one of its last board. None for imports.

    Ask before new pair weights are written: the battles since `before` are compared with the weights that stand now. The very
    first ledger compares nothing (`watched` = 0), because nobody knows the weights of the past.
    """
    if origin not in (Origin.LIVE, Origin.DEMO):
        return None
    until = clock.now() - LAG
    ledger = _copy(before)
    since = datetime.fromisoformat(before["until"]) if before else None
    drawn = _drawn(origin, since, until)
    for row in drawn:
        _enter(ledger, row, watched=since is not None and origin == Origin.LIVE)
    if since and origin == Origin.LIVE:
        _intend(ledger, sum(row["battles"] for row in drawn))
    return ledger | {"until": until.isoformat()}


def _copy(before: dict[str, Any] | None) -> dict[str, Any]:
    before = before or {}
    models = {key: dict(row) for key, row in before.get("models", {}).items()}
    samplers = {key: dict(row) for key, row in before.get("samplers", {}).items()}
    return {"total": dict(before.get("total", {})), "models": models, "samplers": samplers}


def _drawn(origin: str, since: datetime | None, until: datetime) -> list[dict[str, Any]]:
    """One row per pair in its order and sampler; void battles too: they were drawn."""
    battles = Battle.objects.filter(origin=origin, created_at__lte=until)
    if since:
        battles = battles.filter(created_at__gt=since)
    named = battles.values("sampler", a=F("revision_a__contestant_id"), b=F("revision_b__contestant_id"))
    inverse = 1.0 / F("probability")
    counted = named.annotate(
        battles=Count("pk"),
        inverse_p=Sum(inverse),
        inverse_p2=Sum(inverse * inverse),
        least_p=Min("probability"),
        most_p=Max("probability"),
        first=Min("created_at"),
        last=Max("created_at"),
    )
    return [dict(row) for row in counted.order_by("a", "b", "sampler")]


def _enter(ledger: dict[str, Any], row: dict[str, Any], watched: bool) -> None:
    times = {"first": row["first"].isoformat(), "last": row["last"].isoformat()}
    _add(ledger["total"], row | times, watched)
    _add(ledger["samplers"].setdefault(row["sampler"], {}), row | times, watched)
    for contestant in (row["a"], row["b"]):
        _add(ledger["models"].setdefault(str(contestant), {}), row | times, watched)


def _add(into: dict[str, Any], row: dict[str, Any], watched: bool) -> None:
    for name in SUMS:
        into[name] = into.get(name, 0) + row[name]
    into["watched"] = into.get("watched", 0) + (row["battles"] if watched else 0)
    for name, better in (("least_p", min), ("most_p", max), ("first", min), ("last", max)):
        into[name] = better(into.get(name, row[name]), row[name])


def _intend(ledger: dict[str, Any], battles: int) -> None:
    """Adds the battles that the sampler meant each model to be in, and their variance, over those since the last ledger."""
    for key, chance in intended().items():
        row = ledger["models"].setdefault(key, dict.fromkeys((*SUMS, "watched"), 0))
        row["intended"] = row.get("intended", 0.0) + battles * chance
        row["variance"] = row.get("variance", 0.0) + battles * chance * (1 - chance)


def intended() -> dict[str, float]:
    """The chance that the next battle has the contestant in it, by id; they add up to 2. {} while nobody can be drawn."""
    chances = Counter[str]()
    for pair, chance in pair_chances().items():
        for contestant in pair:
            chances[contestant] += chance  # type: ignore[assignment]
    return {key: float(chance) for key, chance in chances.items()}


def pair_chances() -> dict[tuple[str, str], float]:
    """The chance of each pair of contestants (ids) to be drawn next; they add up to 1."""
    revisions = pairing.in_the_ring()
    weights, _sampler = pairing.pair_weights(revisions)
    total, ids = sum(weights.values()), [str(revision.contestant_id) for revision in revisions]
    return {(ids[i], ids[j]): weight / total for (i, j), weight in weights.items()}


def effective(row: dict[str, Any]) -> float | None:
    """Kish's effective number of battles, (sum 1/P)^2 / sum 1/P^2: what weighted by 1/P they are worth. None without battles."""
    return row["inverse_p"] ** 2 / row["inverse_p2"] if row.get("inverse_p2") else None
