"""One file that holds everything an installation cannot make again, and the way back from it.

`taking.take` writes it while the site runs; `restoring.restore` checks every byte of it first, builds a database beside the old
one, and swaps at the very end. What is not in it: models (fetched again), Valkey (rebuilt), static files (collected again).
"""


class BackupRefused(RuntimeError):
    """It cannot be done, and nothing was changed; the message says why and what to do."""
