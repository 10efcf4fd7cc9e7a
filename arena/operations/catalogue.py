"""Every metric by name: what cannot be found here cannot be told, and docs/metrics.md lists exactly these."""

from collections.abc import Sequence
from dataclasses import dataclass

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

MOST_SERIES = 2000  # of one metric; what is beyond is left out


@dataclass(frozen=True, slots=True)
class Described:
    """A metric. `name` is as scraped (a counter's ends in _total, a histogram's in _seconds)."""

    name: str
    kind: str
    labels: tuple[str, ...]
    help: str

    def family(self) -> Metric:
        """An empty family to add samples to."""
        classes = {"counter": CounterMetricFamily, "gauge": GaugeMetricFamily, "histogram": HistogramMetricFamily}
        return classes[self.kind](self.name, self.help, labels=self.labels)


def _table(kind: str, rows: Sequence[tuple[str, str, str]]) -> list[Described]:
    return [Described(name, kind, tuple(labels.split()), words) for name, labels, words in rows]


PROCESS = "process instance"
CATALOGUE = {
    one.name: one
    for one in [
        *_table(
            "counter",
            [
                ("agon_battles_total", "", "Battles begun by visitors."),
                ("agon_turns_total", "", "Prompts sent by visitors."),
                ("agon_votes_total", "choice ranked", "Votes cast by visitors."),
                (
                    "agon_replies_total",
                    "state finish_reason error",
                    "Answers to visitors that ended, with our own error codes.",
                ),
                ("agon_gate_blocks_total", "category", "Prompts that the gate kept from every model."),
                ("agon_tokens_total", "deployment direction", "Tokens of answers that ended, in and out."),
                ("agon_cost_total", "deployment", "Price of these tokens, in the currency of the price list."),
                ("agon_engine_output_tokens_total", "endpoint", "Tokens that the endpoint itself has counted."),
                (
                    "agon_engine_turned_away_total",
                    "endpoint reason",
                    "Requests that were refused, shed or expired there.",
                ),
                (
                    "agon_engine_adapters_total",
                    "endpoint event",
                    "Times that an adapter was paged in (loaded), had to make room, or could not be read.",
                ),
                ("agon_process_cpu_seconds_total", PROCESS, "CPU time with children, user and system."),
                ("agon_leases_lost_total", PROCESS, "Turns that another worker took over."),
                ("agon_stream_events_total", PROCESS, "Events published into turns' streams."),
                ("agon_stream_losses_total", PROCESS, "Times that Valkey was lost while publishing."),
                ("agon_stream_overflows_total", PROCESS, "Viewers that fell behind and had to replay."),
            ],
        ),
        *_table(
            "histogram",
            [
                ("agon_first_token_seconds", "deployment", "From the request to the first text of an answer."),
                ("agon_reply_seconds", "deployment", "From the request to the end of an answer."),
            ],
        ),
        *_table(
            "gauge",
            [
                ("agon_figures_age_seconds", "", "Age of the figures that worker-batch computed."),
                ("agon_build_info", "version", "Always 1."),
                ("agon_battles_paused", "", "1 while the pause switch is on."),
                ("agon_queue_length", "queue", "Messages waiting in the broker."),
                ("agon_open_turns", "state", "Turns that have not ended."),
                ("agon_oldest_open_turn_seconds", "", "Age of the oldest of them."),
                ("agon_jobs", "state", "Jobs of the last seven days."),
                ("agon_backlog", "kind", "What waits for moderators, detectors or the count, up to 10,000."),
                ("agon_fit_age_seconds", "", "Since the last run over all boards ended."),
                ("agon_fit_seconds", "", "How long it took."),
                ("agon_fit_failures", "", "Runs in a row, the last one among them, that were killed or failed."),
                (
                    "agon_boards",
                    "state",
                    "Boards that there are (known), whose last fit failed, that the last run had no time for (waiting).",
                ),
                ("agon_publication_age_seconds", "", "Since the live boards were last published."),
                (
                    "agon_publication_overdue_seconds",
                    "",
                    "Since a moment of the schedule that nobody has served, else 0.",
                ),
                (
                    "agon_log_lines",
                    "state",
                    "Lines of the vote log (sealed), those that are public, exclusions that are not yet (hidden).",
                ),
                ("agon_oldest_uncounted_seconds", "", "Age of the oldest vote event that is not absorbed, else 0."),
                ("agon_suspicions_open", "detector", "Suspicions that nobody has decided on."),
                ("agon_endpoint_up", "endpoint", "1 up or not known to be otherwise, 0.5 draining, 0 down."),
                ("agon_endpoint_requests", "endpoint state", "Requests running and waiting inside the endpoint."),
                ("agon_endpoint_pages", "endpoint state", "KV pages used and free."),
                ("agon_endpoint_fairness", "endpoint", "Jain's index of service over clients, 1 = all alike."),
                ("agon_endpoint_adapters", "endpoint state", "LoRA adapters that it knows, and that are in its pool."),
                ("agon_endpoint_clients", "endpoint", "Fairness clients with service."),
                ("agon_endpoint_largest_share", "endpoint", "Share of service of the most served client."),
                (
                    "agon_endpoint_counter_spread",
                    "endpoint",
                    "Largest difference of counters of groups that wait.",
                ),
                ("agon_spend_today", "endpoint", "Cost of this UTC day."),
                ("agon_spend_cap", "endpoint", "Its daily cap, where there is one."),
                ("agon_dispatch_requests", "deployment state", "Requests that workers have in flight and in line."),
                ("agon_dispatch_circuit_open", "deployment", "Workers whose circuit to it is open."),
                ("agon_disk_bytes", "state", "Free and used, of the file system of var/."),
                ("agon_process_heartbeat_age_seconds", PROCESS, "Since the last sign of life."),
                ("agon_process_resident_bytes", PROCESS, "Memory with children; shared pages count in each."),
                ("agon_process_start_time_seconds", PROCESS, "Unix time of its start."),
                ("agon_db_connections", f"{PROCESS} state", "Database connections in the process's pool."),
                ("agon_db_waiting", PROCESS, "Threads that wait for a database connection."),
                ("agon_sse_streams", PROCESS, "Open event streams."),
                ("agon_live_sockets", PROCESS, "Open WebSockets."),
                ("agon_event_loop_lag_seconds", PROCESS, "The most that a timer came late since the last heartbeat."),
                ("agon_worker_open_turns", PROCESS, "Turns that this worker drives."),
                ("agon_worker_room", PROCESS, "Turns that it may drive at once."),
                ("agon_stream_flush_seconds", PROCESS, "Slowest publication since the last heartbeat."),
            ],
        ),
    ]
}
