"""The protocol of colo as pure machines: no I/O, no clock, no async, no log.

Read in this order:

1. `checkpoint/primary.py`, `checkpoint/secondary.py`: one checkpoint, seen from either side;
2. `policy/`: whether the secondary's VM runs between checkpoints, and how often they come;
3. `witness.py`: what the third host remembers, and whom it lets run the VM;
4. `role/table.py`: the life of an agent, from idle to protected to failing over;
5. `timing.py`: why the deadlines fit each other.

`sizing/` is no part of the protocol: it reckons what protecting a VM takes.

Every machine is a literal table (state x event -> entry) and a small class around it: `step(event, now) ->
actions`, `next_timer() -> when`, `handle_timer(now) -> actions`. Times are integers, nanoseconds of
CLOCK_BOOTTIME. `colo.agent` carries the actions out; `colo.sim` plays with them.
"""
