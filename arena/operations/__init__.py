"""What operators see: signs of life, readiness, figures, /metrics and /ops.

heartbeat.py: each process says that it lives and what only it knows. snapshot.py: worker-batch computes the figures once per
tick (now.py, hour.py, counters.py, engines.py) and keeps them in Valkey; web processes read them there. catalogue.py names every
metric, exposition.py fills them. access.py decides who may see any of it.
"""
