"""Room for sockets: many systems start a process with 1,024 open files allowed, fewer than 600 open turns need."""

import logging
import resource

log = logging.getLogger(__name__)


def allow(wanted: int) -> int:
    """Raise this process's soft limit to `wanted`, as far as the hard limit lets it; returns the limit that holds."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return soft
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    if most < wanted:
        log.warning("only %d open files are allowed, %d are wanted: raise the hard limit (ulimit -Hn)", most, wanted)
    return most
