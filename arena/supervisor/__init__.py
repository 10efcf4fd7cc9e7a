"""Starts and keeps processes: rows of the process table in, prefixed logs and a clean machine out. Django-free."""
