"""worker-generate: one asyncio loop in one thread drives all open turns.

queue.py hands a turn over on commit, loop.py owns the thread, leases.py keeps the rows claimed, run.py is one turn,
side.py one of its sides, pacing.py what both may show at a tick, control.py the stop button's path. The row's lease, not the
broker, is what makes a turn durable.
"""
