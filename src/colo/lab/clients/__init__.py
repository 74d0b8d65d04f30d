"""Clients that check every byte they get, as programs: `python -m colo.lab.clients counter 10.77.0.2`.

Each prints one JSON object per line: what happened, when (CLOCK_BOOTTIME, s), how long it took; the last one
is its verdict. They end by themselves or at SIGTERM. Plain blocking sockets: what a client of the service
would do, and nothing that repairs.
"""
