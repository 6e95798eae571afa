"""Escale beside its peers on real servers: `python -m benchmarks --help`.

Everything is made here: seeded data, the servers of tests/servers, and a proxy that adds latency and counts what goes
over the wire.  A run counts only if what arrived equals what was sent.  Times depend on the machine, ratios hardly do.
"""
