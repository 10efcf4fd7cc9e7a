"""Memory and CPU of a process with its children, from /proc. Elsewhere than on Linux only this process's own."""

import os
import resource
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Usage:
    """Bytes in memory (pages shared with children count once per process) and seconds of CPU, both modes."""

    resident_bytes: int
    cpu_s: float


def usage(pid: int | None = None) -> Usage:
    """Of `pid` (default: this process) and everything below it. Zeros when there is no such process."""
    if not (PROC / "self" / "stat").exists():
        own = resource.getrusage(resource.RUSAGE_SELF)
        return Usage(own.ru_maxrss, own.ru_utime + own.ru_stime)
    rows = _table()
    wanted = {pid or os.getpid()}
    while more := {one for one, row in rows.items() if row[0] in wanted} - wanted:
        wanted |= more
    found = [rows[one] for one in wanted if one in rows]
    ticks, page = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
    return Usage(sum(row[2] for row in found) * page, sum(row[1] for row in found) / ticks)


def _table() -> dict[int, tuple[int, int, int]]:
    """pid -> parent, CPU ticks (with those of children that have ended), resident pages."""
    rows = {}
    for entry in PROC.glob("[0-9]*"):
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:  # it ended meanwhile
            continue
        rows[int(entry.name)] = (int(fields[1]), sum(map(int, fields[11:15])), int(fields[21]))
    return rows
