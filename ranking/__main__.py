"""python -m ranking votes.csv: rank a file of votes without the web app."""

import sys

from ranking.command_line import main

sys.exit(main(sys.argv[1:]))
