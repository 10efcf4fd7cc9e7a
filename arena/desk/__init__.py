"""The moderation desk: queues of what waits for a person, and one page per case. For staff with `arena.moderate`."""
