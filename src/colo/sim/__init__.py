"""A deterministic world in which the machines of `colo.model` live through faults.

Two hosts with an agent each, a witness, a client that counts, links that delay and break, clocks that run
apart. From one seed comes one history. The world knows everything at once, so it can check at every
released byte what no host can know: that whatever survives from here on can explain it.

`loop` time, `network` links, `hosts` that crash and freeze, `vm` a counter, `relay` the release rule in
miniature, `witness` around the pure lease, `agent` the adapter around the machines, `world` all of it and
the checks, `faults` plans.
"""
