"""Policy, prompt gate and detectors. `detectors/` is free of Django: pure functions of text."""
