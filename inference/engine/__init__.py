"""The CPU/GPU engine: Django-free, in its own process."""

import os

# Idle compute threads sleep instead of spinning. On a machine that does anything else, spinning threads take the very
# cores that the next parallel region waits for: measured 7 times slower at load 5 on two cores. torch reads this once, when
# its OpenMP library loads, hence here, before any module of this package imports it.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
