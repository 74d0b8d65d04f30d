"""One checkpoint, seen from the primary (`primary.py`) and from the secondary (`secondary.py`).

    P: stop ─ cut ─ save ─ collect ─ resume ─ send ──────── commit ─────────── loaded
                                                  │            ▲                  ▲
                                             state and pages   │ RECEIVED n       │ LOADED n
                                                  ▼            │                  │
    S:  (runs epoch n) ─────────────────────── whole, checked ─┘ store ─ stop ─ restore ─ load ─ mend ─ resume

Checkpoint n ends epoch n. RECEIVED n is the commit point: before it a failover goes on from what the
secondary's VM runs, after it from checkpoint n, never from half of n.

Instead of being loaded, a checkpoint may only be stored while the secondary's VM rests: the policy says so
for each (`Pace`, `SayPlan`). The answer is then STORED n.

A checkpoint that fails on either side ends the pairing: the primary's VM runs on (that always comes first),
the secondary is given up, and the agents start a new pairing with a full copy. There is no second try of
the same checkpoint: the dirty pages that it took have left the tracker, and a retry would have to prove
that none got lost.
"""
