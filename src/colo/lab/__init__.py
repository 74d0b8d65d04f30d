"""A laboratory on one machine: hosts in network namespaces, real agents, real clients.

The demonstration, the live tests and the benchmarks stand on it.
"""
