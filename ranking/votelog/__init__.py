"""The public vote log: sealed by absorb(), published with the boards, checkable by anybody. docs/vote-log.md has the format."""
