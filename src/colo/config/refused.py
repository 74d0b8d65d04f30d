"""QEMU options and devices that `extra` may not bring in, each with the reason.

Two kinds: options that colo itself must set, and things that no checkpoint can carry: memory that changes
behind the dirty tracker's back, state outside of QEMU, and sources that differ between the two copies.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import attrs

from colo.config.checks import MAX_TEXT
from colo.config.tables import Nested, Problems

if TYPE_CHECKING:
    from collections.abc import Iterator

_OURS = "colo sets this itself"
_SECOND_HAND = "it would control the VM behind colo's back"
_UNSEEN = "another process or device writes guest memory, which the dirty tracker cannot see"
_HOLES = "it punches holes into guest memory, which are not reported as written"
_OUTSIDE = "it keeps state outside of QEMU, which a checkpoint cannot carry"
_DISK = "a writable local disk is not replicated; only -drive or -blockdev with readonly=on is possible"
DIRECT_IO = (
    "the kernel puts what it reads straight into guest memory, which the dirty tracker cannot see:"
    " no cache=none, cache.direct=on, aio=native"
)
_RANDOM = "its answers differ between the two copies, so they could never agree"

REFUSED_OPTIONS: dict[str, str] = {
    **dict.fromkeys(
        (
            "accel",
            "append",
            "cpu",
            "display",
            "enable-kvm",
            "initrd",
            "kernel",
            "m",
            "machine",
            "M",
            "name",
            "smp",
        ),
        f"{_OURS}, from [vm]",
    ),
    **dict.fromkeys(("net", "netdev", "nic"), f"{_OURS}, from [[vm.nic]]"),
    **dict.fromkeys(
        ("action", "no-shutdown", "nographic", "rtc", "S", "daemonize", "pidfile", "preconfig"), _OURS
    ),
    **dict.fromkeys(("gdb", "s", "mon", "monitor", "qmp", "qmp-pretty", "readconfig", "set"), _SECOND_HAND),
    **dict.fromkeys(
        ("mem-path", "mem-prealloc", "numa", "overcommit"),
        "guest memory must be the one file that colo makes",
    ),
    **dict.fromkeys(("incoming", "loadvm"), "the state of the VM comes from checkpoints only"),
    **dict.fromkeys(("hda", "hdb", "hdc", "hdd", "fda", "fdb", "mtdblock", "pflash", "sd"), _DISK),
    **dict.fromkeys(("fsdev", "virtfs"), _OUTSIDE),
    "icount": "instruction counting cannot be restored together with the state",
    "snapshot": "it hides the writes to disks from replication",
    "tpmdev": _OUTSIDE,
}
"""Option name (without dashes) -> reason."""

REFUSED_WORDS: tuple[tuple[str, str], ...] = (
    (r"virtio-balloon|free-page-reporting", _HOLES),
    (r"virtio-mem|virtio-pmem|nvdimm|pc-dimm|memory-backend", _HOLES),
    (r"vhost|vdpa", _UNSEEN),
    (r"vfio|pci-assign", _UNSEEN),
    (r"ivshmem", _UNSEEN),
    (r"virtiofs|virtio-9p", _UNSEEN),
    (r"nvme://|driver\W+nvme\b", _UNSEEN),
    (r"x-remote|xen-", _UNSEEN),
    (r"^cache=(none|directsync)|cache\.direct=on|aio=native|\"direct\":\s*true", DIRECT_IO),
    (r"tpm", _OUTSIDE),
    (r"usb-host|usb-redir|usb-mtp|smartcard|ccid|pass-?through", _OUTSIDE),
    (r"virtio-rng|rng-", _RANDOM),
    (r"^\+?(rdrand|rdseed)(=on)?$", _RANDOM),
    (r"^\+?hv[-_]", "Hyper-V clocks and timers of the host are not restored with the state"),
    (r"invtsc(=on)?$", "an invariant TSC cannot be restored on another host"),
    (r"^\+?(vmx|svm)(=on)?$", "state of a nested hypervisor is not carried"),
    (r"\bmon:|mode=control|mode=readline", _SECOND_HAND),
)
"""Pattern, searched in the words of any argument that are no file names, and the reason."""

_FILE_VALUE = re.compile(r"(file|path|filename|mem-path|tag)=(?!nvme://)")
_DISK_OPTIONS = frozenset({"drive", "blockdev"})
_READ_ONLY = re.compile(r"(readonly|read-only)=on\b|\"read-only\":\s*true")
_MAX_ARGUMENTS = 256


def refused_word(value: str) -> str | None:
    """The reason why the value of an option (`virtio-rng-pci,id=x`) is refused, or None."""
    words = [word for word in value.split(",") if not _FILE_VALUE.match(word)]
    for pattern, reason in REFUSED_WORDS:
        if any(re.search(pattern, word, re.IGNORECASE) for word in words):
            return reason
    return None


def refusals(arguments: tuple[str, ...]) -> Iterator[tuple[int, str]]:
    """Position and reason of every argument of `extra` that is refused."""
    option = ""
    for position, argument in enumerate(arguments):
        if argument.startswith("-"):
            option = argument.lstrip("-")
            reason = REFUSED_OPTIONS.get(option)
        elif option in _DISK_OPTIONS and not _READ_ONLY.search(argument):
            reason = _DISK
        else:
            reason = refused_word(argument)
        if reason:
            yield position, reason


@attrs.frozen
class ExtraArguments(Nested):
    """The arguments of `extra`: strings, one word of QEMU's command line each."""

    @property
    def expected(self) -> str:
        """What may be in the list."""
        return f"list of at most {_MAX_ARGUMENTS} arguments that bring in nothing that cannot be protected"

    def collect(self, raw: object, where: str, problems: Problems) -> object:
        """Note every argument that is refused."""
        if (
            not isinstance(raw, list)
            or len(raw) > _MAX_ARGUMENTS
            or not all(_is_argument(item) for item in raw)
        ):
            problems.add(where, f"must be a {self.expected}; each is a printable string that is not empty")
            return None
        arguments = tuple(raw)
        for position, reason in refusals(arguments):
            problems.add(f"{where}[{position}]", f"{arguments[position]!r} is refused: {reason}")
        return arguments


def _is_argument(item: object) -> bool:
    return isinstance(item, str) and 0 < len(item) <= MAX_TEXT and item.isprintable()
