"""The watch on abuse: rows in, flags and suspicions out. The rules themselves are in `ranking/detectors/`."""
