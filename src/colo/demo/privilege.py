"""The right to make network namespaces and taps: root has it, others may get it in a user namespace."""

from __future__ import annotations

import os
import subprocess
import sys

from colo.errors import CapabilityError

_INSIDE = "COLO_DEMO_INSIDE"
_TUN = "/dev/net/tun"
_HINT = "run it as root (sudo make demo), or allow unprivileged user namespaces and access to /dev/net/tun"


def gain() -> None:
    """Returns where namespaces may be made; otherwise starts this program again inside a user namespace.

    CapabilityError says what is missing where neither is allowed.
    """
    if os.geteuid() == 0:
        if _INSIDE in os.environ:
            _own_run_folder()
        return
    if not os.access(_TUN, os.R_OK | os.W_OK):
        raise CapabilityError(f"this user may not open {_TUN}", _HINT)
    unshare = ("unshare", "--user", "--map-root-user", "--net", "--mount", "--")
    if subprocess.run((*unshare, "true"), check=False, capture_output=True).returncode != 0:
        raise CapabilityError("this user may not make a user namespace", _HINT)
    os.environ[_INSIDE] = "1"
    os.execvp(unshare[0], (*unshare, sys.executable, "-m", "colo", *sys.argv[1:]))  # noqa: S606


def _own_run_folder() -> None:
    """Names of network namespaces are files in /run/netns: the real one is not ours to write."""
    mounted = subprocess.run(
        ("mount", "-t", "tmpfs", "colo", "/run"), check=False, capture_output=True, text=True
    )
    if mounted.returncode != 0:
        raise CapabilityError(f"/run cannot be replaced in this namespace: {mounted.stderr.strip()}", _HINT)
