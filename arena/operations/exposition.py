"""/metrics: the figures in Valkey as Prometheus families. Costs a web process three commands and no query.

Labels are names that operators gave (endpoints, deployments), our own codes, or processes; never a visitor, an address or a text.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from arena import clock
from arena.operations import counters, heartbeat, snapshot
from arena.operations.catalogue import CATALOGUE, MOST_SERIES
from arena.operations.heartbeat import Beat

Labels = tuple[str, ...]
UP = {"up": 1.0, "unknown": 1.0, "draining": 0.5, "down": 0.0}
COUNTED = {
    "battles": "agon_battles_total",
    "turns": "agon_turns_total",
    "votes": "agon_votes_total",
    "replies": "agon_replies_total",
    "gate_blocks": "agon_gate_blocks_total",
}
TIMED = {
    "first_token": ("agon_first_token_seconds", counters.FIRST_TOKEN_S),
    "duration": ("agon_reply_seconds", counters.DURATION_S),
}
# What a heartbeat holds, as a metric. A process tells only what it has.
TOLD = {
    "cpu_s": "agon_process_cpu_seconds_total",
    "resident_bytes": "agon_process_resident_bytes",
    "started": "agon_process_start_time_seconds",
    "db_waiting": "agon_db_waiting",
    "sse": "agon_sse_streams",
    "sockets": "agon_live_sockets",
    "loop_lag_s": "agon_event_loop_lag_seconds",
    "overflows": "agon_stream_overflows_total",
    "open_turns": "agon_worker_open_turns",
    "room": "agon_worker_room",
    "leases_lost": "agon_leases_lost_total",
    "events": "agon_stream_events_total",
    "losses": "agon_stream_losses_total",
    "flush_s": "agon_stream_flush_seconds",
}


def page(accept: str) -> tuple[bytes, str]:
    """The page and its content type, as the scraper asks for it. Raises redis.RedisError."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Figures(snapshot.read(), heartbeat.beats()))
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type


class Page:
    """Families as they fill; at most MOST_SERIES of each."""

    def __init__(self) -> None:
        self.families: dict[str, Metric] = {}
        self.sizes: dict[str, int] = {}

    def _room(self, name: str) -> Any:
        self.sizes[name] = self.sizes.get(name, 0) + 1
        if self.sizes[name] > MOST_SERIES:
            return None
        if name not in self.families:
            self.families[name] = CATALOGUE[name].family()
        return self.families[name]

    def set(self, name: str, labels: Labels, value: Any) -> None:
        if value is not None and (family := self._room(name)):
            family.add_metric(labels, float(value))

    def histogram(self, name: str, labels: Labels, buckets: list[tuple[str, float]], total: float) -> None:
        if family := self._room(name):
            family.add_metric(labels, buckets=buckets, sum_value=total)


class Figures(Collector):
    """Collects one snapshot and the heartbeats, once."""

    def __init__(self, told: snapshot.Snapshot | None, beats: list[Beat]) -> None:
        self.told, self.beats = told, beats

    def collect(self) -> Iterator[Metric]:
        page = Page()
        if self.told:
            page.set("agon_figures_age_seconds", (), self.told.age_s)
            _of_now(page, self.told.data)
            _of_ranking(page, self.told.data.get("ranking") or {})
            _of_endpoints(page, self.told.data)
            _of_counters(page, self.told.data)
            _of_processes(page, self.told.data)
        _of_beats(page, self.beats)
        _of_lanes(page, self.beats, self.told.data["deployments"] if self.told else {})
        yield from page.families.values()


def _of_now(page: Page, data: dict[str, Any]) -> None:
    page.set("agon_build_info", (data["versions"]["agon"],), 1)
    page.set("agon_battles_paused", (), data["paused"])
    page.set("agon_oldest_open_turn_seconds", (), data["turns"]["oldest_s"])
    for state in ("waiting", "running"):
        page.set("agon_open_turns", (state,), data["turns"][state])
    for name, key in (("agon_queue_length", "queues"), ("agon_jobs", "jobs"), ("agon_backlog", "backlog")):
        for label, value in data[key].items():
            page.set(name, (label,), value)
    disk = data["disk"]
    page.set("agon_disk_bytes", ("free",), disk["free_bytes"])
    page.set("agon_disk_bytes", ("used",), disk["size_bytes"] - disk["free_bytes"])


def _of_ranking(page: Page, told: dict[str, Any]) -> None:
    """`told` is what ranking.operators said, or nothing. Ages are of this moment."""
    if not told:
        return
    run, boards, published, log = told["run"] or {}, told["boards"], told["publication"], told["log"]
    page.set("agon_fit_age_seconds", (), _age(run.get("ended_at")))
    page.set("agon_fit_seconds", (), run.get("seconds"))
    page.set("agon_fit_failures", (), run["again"] + 1 if run.get("state") in ("failed", "killed") else 0)
    for state, value in (("known", boards["known"]), ("failed", boards["failed"]), ("waiting", run.get("waiting"))):
        page.set("agon_boards", (state,), value)
    page.set("agon_publication_age_seconds", (), _age(published["served"]))
    page.set("agon_publication_overdue_seconds", (), _age(published["overdue"]) or 0)
    for state, key in (("sealed", "lines"), ("public", "public"), ("hidden", "hidden")):
        page.set("agon_log_lines", (state,), log[key])
    page.set("agon_oldest_uncounted_seconds", (), _age(log["oldest"]) or 0)
    for detector, value in told["suspicions"].items():
        page.set("agon_suspicions_open", (detector,), value)


def _age(moment: str | None) -> float | None:
    return max(0.0, (clock.now() - datetime.fromisoformat(moment)).total_seconds()) if moment else None


def _of_endpoints(page: Page, data: dict[str, Any]) -> None:
    for row in data["spending"]:
        page.set("agon_spend_today", (row["endpoint"],), row["cost"])
        page.set("agon_spend_cap", (row["endpoint"],), row["cap"])
    for row in data["engines"]:
        name = row["name"]
        page.set("agon_endpoint_up", (name,), UP[row["state"]])
        page.set("agon_endpoint_requests", (name, "running"), row.get("running"))
        page.set("agon_endpoint_requests", (name, "waiting"), row.get("waiting"))
        if "pages" in row and "pages_used" in row:
            page.set("agon_endpoint_pages", (name, "used"), row["pages_used"])
            page.set("agon_endpoint_pages", (name, "free"), row["pages"] - row["pages_used"])
        page.set("agon_endpoint_fairness", (name,), row.get("fairness"))
        page.set("agon_endpoint_clients", (name,), row.get("clients"))
        page.set("agon_endpoint_largest_share", (name,), row.get("largest_share"))
        page.set("agon_endpoint_counter_spread", (name,), row.get("spread"))
        page.set("agon_engine_output_tokens_total", (name,), row.get("output_tokens"))
        for reason in ("refused", "shed", "expired"):
            page.set("agon_engine_turned_away_total", (name, reason), row.get(reason))
        page.set("agon_endpoint_adapters", (name, "registered"), row.get("adapters"))
        page.set("agon_endpoint_adapters", (name, "resident"), row.get("adapters_resident"))
        for event in ("loaded", "evicted", "failed"):
            page.set("agon_engine_adapters_total", (name, event), row.get(f"adapters_{event}"))


def label_of(deployment: str, names: dict[str, dict[str, Any]]) -> str:
    """Those without a deployment, or whose deployment is gone, share one label: old rows must not add series for ever."""
    return str(names[deployment]["label"]) if deployment in names else "none"


def _of_counters(page: Page, data: dict[str, Any]) -> None:
    names, sums = data["deployments"], dict[Labels, float]()
    for told, value in data["counters"]:
        metric, *labels = told
        if metric in COUNTED:
            page.set(COUNTED[metric], tuple(labels), value)
        else:  # per deployment
            key = (metric, label_of(labels[0], names), *labels[1:])
            sums[key] = sums.get(key, 0.0) + value
    for (metric, deployment, *rest), value in sums.items():
        if metric == "tokens":
            page.set("agon_tokens_total", (deployment, *rest), value)
        elif metric == "cost":
            page.set("agon_cost_total", (deployment,), value)
    for metric in TIMED:
        for deployment in dict.fromkeys(key[1] for key in sums if key[0] == metric):
            _timed(page, metric, deployment, sums)


def _timed(page: Page, metric: str, deployment: str, sums: dict[Labels, float]) -> None:
    name, bounds = TIMED[metric]
    seen, buckets = 0.0, list[tuple[str, float]]()
    for number, bound in enumerate((*bounds, float("inf"))):
        seen += sums.get((metric, deployment, str(number)), 0.0)
        buckets.append(("+Inf" if bound == float("inf") else repr(bound), seen))
    page.histogram(name, (deployment,), buckets, sums.get((metric, deployment, "sum"), 0.0))


def _of_processes(page: Page, data: dict[str, Any]) -> None:
    for row in data["others"]:
        labels = (row["process"], row["instance"])
        page.set("agon_process_resident_bytes", labels, row["resident_bytes"])
        page.set("agon_process_cpu_seconds_total", labels, row["cpu_s"])


def _of_beats(page: Page, beats: Iterable[Beat]) -> None:
    for beat in beats:
        labels = (beat.process, beat.instance)
        page.set("agon_process_heartbeat_age_seconds", labels, beat.age_s)
        if not beat.alive:
            continue
        for told, name in TOLD.items():
            page.set(name, labels, beat.figures.get(told))
        free, opened = beat.figures.get("db_free", 0), beat.figures.get("db_open", 0)
        page.set("agon_db_connections", (*labels, "free"), free)
        page.set("agon_db_connections", (*labels, "used"), opened - free)


def _of_lanes(page: Page, beats: Iterable[Beat], names: dict[str, dict[str, Any]]) -> None:
    sums: dict[tuple[str, str], int] = {}
    for beat in beats:
        for deployment, lane in beat.figures.get("lanes", {}).items() if beat.alive else ():
            for told, value in lane.items():
                key = (label_of(deployment, names), told)
                sums[key] = sums.get(key, 0) + value
    for (deployment, told), value in sums.items():
        if told == "open":
            page.set("agon_dispatch_circuit_open", (deployment,), value)
        else:
            page.set("agon_dispatch_requests", (deployment, told), value)
