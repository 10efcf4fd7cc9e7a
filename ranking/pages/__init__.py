"""What people see of the boards: addresses, views, API and files over published snapshots. Numpy is never loaded here."""
