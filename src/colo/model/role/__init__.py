"""The life of one agent: who runs the VM, who stands by, and when that changes.

`table.py` is the protocol: every state, every event, one sentence for each change. `lease.py` is the
traffic with the witness that a state wishes for, and the gate that follows from it. `machine.py` joins the
two.

The rule behind the table: **whoever comes first at the witness wins.** When the pair falls apart, the
primary asks the witness to take the secondary's standby away, and holds its output until that is confirmed;
the secondary asks for the lease, and promotes only when it is granted. The witness can grant one of the
two, never both.
"""
