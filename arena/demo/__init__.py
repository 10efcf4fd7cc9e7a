"""The demo that a new installation starts with: four tiny contestants, and battles that nobody fought.

The battles are synthetic: recorded answers of the demo models, voted on by simulated voters of known strength. Their origin is
`demo`, they are never fitted together with live votes, and `manage.py wipe_demo` removes them.
"""

from arena.demo.battles import seed_battles, wipe_battles
from arena.demo.roster import refresh, seed_roster
from arena.demo.seeding import seed

__all__ = ["refresh", "seed", "seed_battles", "seed_roster", "wipe_battles"]
