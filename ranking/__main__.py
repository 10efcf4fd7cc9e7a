"""python -m ranking votes.csv: rank a file of votes without the web app."""

import os
import sys

from ranking.command_line import main

# Threads of the linear algebra wait for each other by spinning: for 300 models that was 25 CPU seconds instead of 8.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
for stream in filter(None, (sys.stdout, sys.stderr)):
    stream.reconfigure(errors="backslashreplace")  # a name that the terminal cannot show is escaped
code = main(sys.argv[1:])
try:
    if sys.stdout:
        sys.stdout.flush()
except OSError:  # told already; Python would try once more at its end
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
sys.exit(code)
