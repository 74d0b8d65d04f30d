"""Sets up a fresh clone: virtual environment, dependencies, Rust core, QEMUs, guest. `make` calls it first.

Runs with the system's Python and its standard library only. A step runs when its inputs changed since it last
ended well; their hash is kept in .venv/stamps. Nothing outside of this folder changes, but for python3-venv,
which is installed for root where it is missing. COLO_CACHE names another folder for what is fetched, for
clones to share.
"""

import fcntl
import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin/python"
CACHE = Path(os.environ.get("COLO_CACHE") or ROOT / ".cache").resolve()
OLDEST_PYTHON = (3, 11)
OLDEST_RUST = (1, 85)


def main() -> None:
    """All steps in order; one set-up at a time per cache."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "setup.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        check_tools()
        make_venv()
        step("dependencies", [ROOT / "requirements.lock"], install_dependencies)
        step("core", rust_sources(), build_core, made=any((ROOT / "src/colo").glob("_core*.so")))
        provision()


def check_tools() -> None:
    """Stops with a sentence when something is missing that is not ours to install."""
    if sys.version_info < OLDEST_PYTHON:
        stop(f"Python {sys.version.split()[0]} is too old", "use Python 3.11 or newer")
    for tool in ("cargo", "rustc", "cc"):
        if shutil.which(tool) is None:
            stop(f"{tool} is missing", "install Rust 1.85 or newer (https://rustup.rs) and gcc")
    version = run(["rustc", "--version"])
    found = re.search(r"(\d+)\.(\d+)", version)
    if found is None or (int(found[1]), int(found[2])) < OLDEST_RUST:
        stop(f"{version.strip()} is too old", "install Rust 1.85 or newer (https://rustup.rs)")


def make_venv() -> None:
    """Makes .venv, anew when it does not work any more (this folder was moved, Python was removed)."""
    if works(PYTHON) and (VENV / "stamps" / hashed([str(ROOT).encode()])).exists():
        return
    if importlib.util.find_spec("ensurepip") is None:
        install_venv_package()
    say("making .venv")
    run([sys.executable, "-m", "venv", "--clear", str(VENV)])
    (VENV / "stamps").mkdir()
    (VENV / "stamps" / hashed([str(ROOT).encode()])).touch()


def install_venv_package() -> None:
    """Debian's Python comes without the module that puts pip into a virtual environment."""
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        stop("this Python cannot make virtual environments", "apt-get install python3-venv")
    say("installing python3-venv")
    run(["apt-get", "update", "-q"])
    run(["apt-get", "install", "-q", "--yes", "--no-install-recommends", "python3-venv"])


def install_dependencies() -> None:
    """Exactly the locked versions, their hashes checked."""
    say("installing the locked Python dependencies")
    options = ["--quiet", "--disable-pip-version-check", "--require-hashes"]
    run([str(PYTHON), "-m", "pip", "install", *options, "-r", str(ROOT / "requirements.lock")])


def build_core() -> None:
    """Builds colo._core and links this folder into the virtual environment."""
    say("building the Rust core (the first time takes a minute or two)")
    options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--no-build-isolation"]
    run([str(PYTHON), "-m", "pip", "install", *options, "--editable", str(ROOT)])


def rust_sources() -> list[Path]:
    """What the core is made of."""
    files = [path for path in (ROOT / "crates").rglob("*") if path.is_file()]
    return sorted([*files, ROOT / "Cargo.toml", ROOT / "Cargo.lock", ROOT / "pyproject.toml"])


def provision() -> None:
    """Looks for itself what is to be done."""
    run([str(PYTHON), str(ROOT / "tools/provision.py"), str(CACHE)], show=True)


def step(name: str, inputs: Iterable[Path], action: Callable[[], None], *, made: bool = True) -> None:
    """Does it unless it is made and the inputs are those of the last time; a failed step has no stamp."""
    stamp = VENV / "stamps" / name
    key = hashed(
        part for path in inputs for part in (str(path.relative_to(ROOT)).encode(), path.read_bytes())
    )
    if made and stamp.exists() and stamp.read_text() == key:
        return
    stamp.unlink(missing_ok=True)
    action()
    stamp.write_text(key)


def hashed(parts: Iterable[bytes]) -> str:
    """One hash over all parts, each with its length."""
    total = hashlib.sha256()
    for part in parts:
        total.update(len(part).to_bytes(8, "little") + part)
    return total.hexdigest()


def works(program: Path) -> bool:
    """Whether it can be started at all."""
    try:
        return subprocess.run([program, "--version"], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def run(command: list[str], *, show: bool = False) -> str:
    """Runs to the end and returns what it says; with `show` it goes to the terminal instead.

    A failure ends the set-up: the program's own words are the explanation.
    """
    output = None if show else subprocess.PIPE
    errors = None if show else subprocess.STDOUT
    path = f"{VENV / 'bin'}:{os.environ.get('PATH', os.defpath)}"  # pip looks for maturin there
    environment = {**os.environ, "VIRTUAL_ENV": str(VENV), "PATH": path}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, stdout=output, stderr=errors, text=True, check=False
    )
    if done.returncode != 0:
        print(done.stdout or "", end="", file=sys.stderr)
        sys.exit(f"error: {' '.join(command)} ended with {done.returncode}")
    return done.stdout or ""


def say(line: str) -> None:
    """One line of progress, at once."""
    print(f"setup: {line}", flush=True)


def stop(message: str, hint: str) -> NoReturn:
    """Ends with what is wrong and what to do."""
    sys.exit(f"error: {message}\nhint: {hint}")


if __name__ == "__main__":
    main()
