"""PostgreSQL and Valkey from wheels, on unix sockets under var/, used while DATABASE_URL / REDIS_URL are unset.

Importing this costs only path computations; the lifecycle is in `arena.embedded.lifecycle`.
"""

from arena.embedded.paths import database_url, redis_url, run_dir, var_dir

__all__ = ["database_url", "redis_url", "run_dir", "var_dir"]
