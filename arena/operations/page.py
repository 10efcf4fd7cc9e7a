"""What /ops shows: the last figures and the processes, put into words and bars. Nothing is computed here."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.utils.translation import gettext_lazy as _

from arena.operations import heartbeat, snapshot
from arena.operations.exposition import label_of
from arena.operations.heartbeat import Beat

ROLES = ("web", "worker-generate", "worker-batch", "worker-long", "beat")
CHART = {"width": 720, "height": 150, "base": 124, "top": 14}
STATES = {"up": _("up"), "draining": _("draining"), "down": _("down"), "unknown": _("not looked into")}
JOBS = {"queued": _("waiting"), "running": _("running"), "done": _("done"), "failed": _("failed")}
BACKLOGS = {
    "reports": _("Open reports"),
    "appeals": _("Open appeals"),
    "flagged": _("Flagged conversations"),
    "pending": _("Conversations without a verdict"),
    "unenriched": _("Messages of the last day that detectors have not read"),
    "votes_uncounted": _("Votes that are not counted yet"),
}
RUNS = {
    "running": _("running"),
    "done": _("done"),
    "failed": _("failed"),
    "killed": _("killed, is begun again"),
}
BEHIND = 2  # runs of fits that a vote may wait for before somebody should look
OVERDUE_S = 300


def context() -> dict[str, Any]:
    """Everything the templates need. Raises redis.RedisError."""
    told, beats = snapshot.read(), heartbeat.beats()
    late = int(snapshot.LATE * max(settings.LIVE_TICK_S, 1.0))
    shown: dict[str, Any] = {"told": told, "late": str(late), "age": str(int(told.age_s) if told else 0)}
    data = told.data if told else {}
    shown["processes"] = processes(beats, data.get("others", []))
    if not told:
        return shown
    hour = data["hour"]
    shown |= {"data": data, "at": datetime.fromisoformat(data["at"]), "hour_at": datetime.fromisoformat(hour["at"])}
    shown["engines"] = engines(data)
    shown["ranking"] = ranking(data)
    shown["queues"] = queues(data, beats)
    shown["latency"] = latency(data, beats)
    shown["chart"] = chart(hour["hours"])
    shown["backlog"] = [(words, data["backlog"][key]) for key, words in BACKLOGS.items()]
    shown["jobs"] = [(words, data["jobs"].get(key, 0)) for key, words in JOBS.items()]
    shown["queued"] = sum(data["queues"].values())
    shown["backed_up"] = data["turns"]["oldest_s"] > settings.TURN_LEASE_S and data["turns"]["waiting"] > 0
    shown["down"] = [row["name"] for row in data["engines"] if row["state"] == "down"]
    shown["silent"] = [row.name for row in shown["processes"] if not row.alive and row.name in heartbeat.VITAL]
    return shown


@dataclass(frozen=True, slots=True)
class Row:
    """One process. `age_s` is None for what is seen from outside (engine, servers); `heard` False = never."""

    name: str
    instance: str
    alive: bool
    age_s: float | None
    figures: dict[str, Any]
    heard: bool = True


def processes(beats: list[Beat], others: list[dict[str, Any]]) -> list[Row]:
    """Everything heard of, what is missing, and what the supervisor runs beside it."""
    rows = [Row(beat.process, beat.instance, beat.alive, beat.age_s, beat.figures) for beat in beats]
    missing = [role for role in ROLES if not any(row.name.startswith(role) for row in rows)]
    rows += [Row(role, "", False, None, {}, heard=False) for role in missing]
    order = {role: number for number, role in enumerate(ROLES)}
    rows.sort(key=lambda row: (next((n for role, n in order.items() if row.name.startswith(role)), 99), row.instance))
    return rows + [Row(row["process"], row["instance"], True, None, row) for row in others]


def engines(data: dict[str, Any]) -> list[dict[str, Any]]:
    """Endpoints with their state in words, pages in percent, and what they have cost today."""
    spending = {row["endpoint"]: row for row in data["spending"]}
    shown = []
    for row in data["engines"]:
        spent = spending.get(row["name"], {"cost": 0.0, "cap": None})
        share = 100 * row["pages_used"] / row["pages"] if row.get("pages") and "pages_used" in row else None
        over = spent["cap"] is not None and spent["cost"] >= spent["cap"]
        filled = {"share": share, "meter": str(round(share or 0))}
        shown.append(row | filled | {"words": STATES[row["state"]], "spent": spent, "over": over})
    return shown


def ranking(data: dict[str, Any]) -> dict[str, Any] | None:
    """What ranking.operators told, with times as times and what somebody should look at; None while nothing was told."""
    if not (told := data.get("ranking")):
        return None
    run, published, log = _times(told["run"] or {}), _times(told["publication"]), _times(told["log"])
    moment = datetime.fromisoformat(data["at"])
    return told | {
        "run": run | {"words": RUNS[run["state"]]} if run else None,
        "publication": published,
        "log": log | {"waiting": data["backlog"]["votes_uncounted"]},
        "troubles": [_times(row) for row in told["boards"]["troubles"]],
        "late": published["overdue"] and moment - published["overdue"] > timedelta(seconds=OVERDUE_S),
        "behind": log["oldest"] and moment - log["oldest"] > timedelta(seconds=BEHIND * settings.REFIT_S),
        "open": sum(told["suspicions"].values()),
    }


TIMES = ("begun_at", "ended_at", "served", "changed", "next", "overdue", "oldest", "since")


def _times(row: dict[str, Any]) -> dict[str, Any]:
    return row | {name: row[name] and datetime.fromisoformat(row[name]) for name in TIMES if name in row}


def queues(data: dict[str, Any], beats: list[Beat]) -> list[dict[str, Any]]:
    """Schedulers with the clients that they have served: the engines' own, and the workers' for endpoints without one."""
    shown = [{"label": row["name"]} | row["queue"] for row in data["engines"] if row.get("queue")]
    for beat in beats:
        if beat.alive:
            for deployment, rows in beat.figures.get("queues", {}).items():
                label = f"{label_of(deployment, data['deployments'])} ({beat.instance})"
                shown.append({"label": label, "policy": "", "rows": rows})
    return shown


def latency(data: dict[str, Any], beats: list[Beat]) -> list[dict[str, Any]]:
    """Per deployment, the busiest first, with whether a worker's circuit to it is open."""
    names = data["deployments"]
    broken = {
        deployment
        for beat in beats
        if beat.alive
        for deployment, lane in beat.figures.get("lanes", {}).items()
        if lane["open"]
    }
    rows = [
        row | {"label": label_of(deployment, names), "open": deployment in broken}
        for deployment, row in data["hour"]["latency"].items()
    ]
    return sorted(rows, key=lambda row: -row["replies"])


def chart(hours: dict[str, list[int]]) -> dict[str, Any]:
    """Two bars per hour on one scale, and the same as rows for the table. Text, for no language may touch SVG's numbers."""
    most = max((value for pair in hours.values() for value in pair), default=0)
    room, step = CHART["base"] - CHART["top"], CHART["width"] / max(len(hours), 1)
    rows = []
    for number, (moment, pair) in enumerate(sorted(hours.items())):
        bars = [room * value / most if most else 0.0 for value in pair]
        left = number * step
        rows.append(
            {
                "at": datetime.fromisoformat(moment),
                "battles": pair[0],
                "votes": pair[1],
                "tick": number % 6 == 0,
                "x": f"{left + step * 0.12:.1f}",
                "x2": f"{left + step * 0.5:.1f}",
                "middle": f"{left + step / 2:.1f}",
                "h": f"{bars[0]:.1f}",
                "h2": f"{bars[1]:.1f}",
                "y": f"{CHART['base'] - bars[0]:.1f}",
                "y2": f"{CHART['base'] - bars[1]:.1f}",
            }
        )
    size = {name: str(value) for name, value in CHART.items()}
    return size | {"rows": rows, "most": most, "bar": f"{step * 0.36:.1f}", "empty": most == 0}
