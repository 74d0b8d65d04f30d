"""QEMU: found, new enough, and able to do what checkpoints are made of. QEMU itself is asked."""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio

from colo.check.finding import Finding, fail, failed, ok, warn
from colo.errors import ColoError, QemuError
from colo.hypervisor import try_out
from colo.hypervisor.probe import choose_accel, kvm_refusal, probe

if TYPE_CHECKING:
    from colo.config import Config
    from colo.hypervisor.probe import QemuProgram

_DEADLINE_S = 15.0
_HINT = "install QEMU 7.2 or newer"


async def findings(config: Config | None, program: str) -> list[Finding]:
    """Everything about QEMU."""
    try:
        found = await probe(config.vm.qemu if config else program)
    except QemuError as e:
        return [failed("QEMU", e), _kvm_alone()]
    version = ok("QEMU", f"{found.path} {found.version_text}")
    return [version, _accelerator(config.vm.accel if config else "auto", found), await _capabilities(found)]


async def machine(config: Config) -> Finding:
    """Whether QEMU makes this VM's machine, and can carry its state; see `colo.hypervisor.trial`."""
    with tempfile.TemporaryDirectory(prefix="colo-check-") as folder:
        try:
            tried = await try_out(config.vm, Path(folder), config.timing.qmp_timeout_ms)
        except ColoError as e:
            return failed("machine", e)
    made = tried.inventory
    return ok("machine", f"{made.machine} with {made.devices or 'no devices'}: saved and loaded in a trial")


def _accelerator(wanted: str, found: QemuProgram) -> Finding:
    try:
        chosen = choose_accel(wanted, found)
    except QemuError as e:
        return failed("accelerator", e)
    if chosen == "kvm":
        return ok("accelerator", "kvm")
    refusal = kvm_refusal() or "not asked for, or not built in"
    return warn("accelerator", f"tcg (kvm: {refusal})", "guests run several times slower than with KVM")


def _kvm_alone() -> Finding:
    """What the machine itself says, where there is no QEMU to ask."""
    if refusal := kvm_refusal():
        return warn("accelerator", f"tcg (kvm: {refusal})", "guests run several times slower than with KVM")
    return ok("accelerator", "kvm, if QEMU has it built in")


async def _capabilities(found: QemuProgram) -> Finding:
    name = "QEMU's abilities"
    with tempfile.TemporaryDirectory(prefix="colo-check-") as folder:
        try:
            answers = await _ask(found.path, Path(folder))
        except QemuError as e:
            return failed(name, e)
    if missing := _missing(answers):
        return fail(name, f"{found.path} lacks {', '.join(missing)}", _HINT)
    return ok(name, "x-ignore-shared, snapshot-save, snapshot-load, -netdev stream")


def _missing(answers: list[dict[str, Any]]) -> list[str]:
    """`answers` to `_QUESTIONS`, in order."""
    commands = {c["name"] for c in answers[1].get("return", [])}
    capabilities = {c["capability"] for c in answers[2].get("return", [])}
    missing = sorted({"snapshot-save", "snapshot-load", "blockdev-create"} - commands)
    missing += [] if "x-ignore-shared" in capabilities else ["x-ignore-shared"]
    return missing + ([] if "return" in answers[3] else ["-netdev stream"])


def _questions(folder: Path) -> list[dict[str, Any]]:
    address = {"type": "unix", "path": str(folder / "netdev")}
    stream = {"type": "stream", "id": "n0", "server": True, "addr": address}
    return [
        {"execute": "qmp_capabilities"},
        {"execute": "query-commands"},
        {"execute": "query-migrate-capabilities"},
        {"execute": "netdev_add", "arguments": stream},
        {"execute": "quit"},
    ]


async def _ask(program: str, folder: Path) -> list[dict[str, Any]]:
    """The answers of a QEMU without a machine."""
    questions = _questions(folder)
    argv = [
        program,
        "-machine",
        "none",
        "-nodefaults",
        "-no-user-config",
        "-display",
        "none",
        "-qmp",
        "stdio",
    ]
    said = "".join(json.dumps(question) + "\n" for question in questions)

    def run() -> subprocess.CompletedProcess[bytes]:
        """A QEMU that ends early closes its input: subprocess takes that calmly."""
        return subprocess.run(
            argv, input=said.encode(), capture_output=True, timeout=_DEADLINE_S, check=False
        )

    try:
        done = await anyio.to_thread.run_sync(run)
    except subprocess.TimeoutExpired as e:
        raise QemuError(f"{program} did not answer within {_DEADLINE_S:g} s", _HINT) from e
    except OSError as e:
        raise QemuError(f"{program} cannot be started: {e.strerror}", _HINT) from e
    answers = [
        answer for answer in map(_parsed, done.stdout.splitlines()) if "return" in answer or "error" in answer
    ]
    if len(answers) != len(questions):
        said_last = (done.stderr or done.stdout).decode(errors="replace").strip()[-200:]
        raise QemuError(f"{program} ended its QMP session early: {said_last}", _HINT)
    return answers


def _parsed(line: bytes) -> dict[str, Any]:
    try:
        parsed = json.loads(line)
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}
