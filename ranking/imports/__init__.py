"""Files of votes, read row by row: no settings, no database. `python -m ranking` and `manage.py import_votes` share it."""
