"""What a vote adds to the counts, and which categories it is in. `ranking/counts.py` is the only writer."""
