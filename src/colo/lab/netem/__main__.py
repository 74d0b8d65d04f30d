"""Runs a cable's QEMU until standard input ends: `python -m colo.lab.netem QEMU ARGUMENTS...`.

Then it has the VM say what it did, and prints that: for each way the JSON of `tc -s -j qdisc`.
"""

from __future__ import annotations

import subprocess
import sys

_MARK = "netem: "
_END_S = 30.0


def main(command: list[str]) -> int:
    """0 when the VM was up and has ended as told."""
    with subprocess.Popen(
        command, close_fds=False, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as qemu:
        try:
            sys.stdin.read()  # nobody writes to it: this returns with its end
            console, _ = qemu.communicate("end\n", timeout=_END_S)
        except BaseException:
            qemu.kill()
            raise
    said = [line.removeprefix(_MARK) for line in console.splitlines() if line.startswith(_MARK)]
    if said[:1] != ["ready"]:
        sys.stderr.write(f"netem: the VM did not come up: {console[-2000:]}\n")
        return 1
    sys.stdout.write("".join(f"{line}\n" for line in said[1:]))
    return qemu.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
