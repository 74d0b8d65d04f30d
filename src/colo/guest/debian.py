"""Debian packages fetched and unpacked beside the machine's own: nothing is installed, no root is needed.

apt does the work, with folders, sources and an empty package status of its own, so that what it fetches is
the same on every machine. Mirror, proxy and archive keyring are the machine's (apt.conf(5), sources.list(5)).
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from typing import TYPE_CHECKING

from colo.errors import CapabilityError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
DEADLINE = 600  # seconds for one call of apt; it retries and times out long before

_TARGET_FIELDS = ("CREATED_BY", "ORIGIN", "LABEL", "COMPONENT", "REPO_URI")
_CONFIG = """\
Dir::State "{folder}/state";
Dir::State::status "{folder}/status";
Dir::Cache "{folder}/cache";
Dir::Etc::sourcelist "{folder}/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
APT::Sandbox::User "root";
APT::Install-Recommends "false";
APT::Install-Suggests "false";
Acquire::Languages "none";
Acquire::Retries "3";
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
"""


def mirror() -> str:
    """The address of the Debian archive that this machine uses; CapabilityError when it has none."""
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise CapabilityError("apt-get and dpkg-deb are needed to fetch packages", "use Debian 12 or newer")
    fields = "|".join(f"$({field})" for field in _TARGET_FIELDS)
    found = mirror_of_indexes(_run(["apt-get", "indextargets", "--format", fields]))
    if found is None:
        found = mirror_of_sources(_run(["apt-get", "update", "--print-uris"]))
    if found is None:
        raise CapabilityError(
            "no Debian archive in the package sources of this machine",
            "add one to /etc/apt/sources.list.d (component main)",
        )
    return found


def mirror_of_indexes(targets: str) -> str | None:
    """The archive whose fetched index says that it is Debian itself: not -security, nor a vendor."""
    for line in targets.splitlines():
        created_by, origin, label, component, uri = line.split("|")
        if (created_by, origin, label, component) == ("Packages", "Debian", "Debian", "main"):
            return uri
    return None


def mirror_of_sources(uris: str) -> str | None:
    """A guess where `apt-get update` never ran (a container): the first plain suite of an archive "debian".

    A wrong one is found out: the archive's signature is checked.
    """
    found = re.search(r"^'(\S+/debian/)dists/[a-z]+/InRelease'", uris, re.MULTILINE)
    return found[1] if found else None


class Archive:
    """Some suites of the Debian archive; the first one is preferred. `folder` is ours and can be deleted."""

    def __init__(self, folder: Path, suites: tuple[str, ...]) -> None:
        self.folder = folder.resolve()
        self.suites = suites
        if re.search(r'["\s]', str(self.folder)):
            raise CapabilityError(f"{folder}: apt needs a path without spaces and quotes", "set COLO_CACHE")

    def update(self) -> None:
        """Fetches the package lists; apt checks their signatures."""
        for part in ("state/lists/partial", "cache/archives/partial", "download"):
            (self.folder / part).mkdir(parents=True, exist_ok=True)
        (self.folder / "status").touch()
        (self.folder / "apt.conf").write_text(_CONFIG.format(folder=self.folder))
        source = f"deb [arch=amd64 target=Packages signed-by={KEYRING}] {mirror()}"
        lines = [f"{source} {suite} main\n" for suite in self.suites]
        (self.folder / "sources.list").write_text("".join(lines))
        self._apt_get("update", "--error-on=any")

    def latest(self, metapackage: str) -> str:
        """The first package that a metapackage depends on (linux-image-cloud-amd64: the newest kernel)."""
        shown = _run(["apt-cache", *self._options(), "show", "--no-all-versions", metapackage])
        depends = re.search(r"^Depends: ([a-z0-9.+-]+)", shown, re.MULTILINE)
        if depends is None:
            raise CapabilityError(f"{metapackage} of {self.suites[0]} depends on nothing")
        return depends[1]

    def fetch(self, *packages: str) -> list[Path]:
        """Downloads these packages alone; returns the .deb files."""
        download = self.folder / "download"
        self._apt_get("download", *packages, cwd=download)
        return sorted(download.glob("*.deb"))

    def fetch_closure(self, package: str) -> list[Path]:
        """Downloads a package with all it depends on, down to libc; returns the .deb files."""
        self._apt_get("install", "--yes", "--download-only", package)
        return sorted((self.folder / "cache/archives").glob("*.deb"))

    def _options(self) -> list[str]:
        return ["-c", str(self.folder / "apt.conf"), "-t", self.suites[0]]

    def _apt_get(self, *arguments: str, cwd: Path | None = None) -> None:
        _run(["apt-get", *self._options(), "-q", *arguments], cwd=cwd)


def unpack(package: Path, into: Path) -> None:
    """Unpacks the files of a .deb."""
    _run(["dpkg-deb", "-x", str(package), str(into)])


def fetched_once(
    folder: Path, suites: tuple[str, ...], select: Callable[[Archive, Path, Path], None]
) -> Path:
    """`folder`, whole or not there: `select(archive, work, parts)` fetches what it needs, may unpack it below
    `work`, which is deleted, and puts into `parts` what `folder` shall hold.
    """
    if folder.exists():
        return folder
    work = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(work, ignore_errors=True)
    archive = Archive(work / "apt", suites)
    archive.update()
    (work / "parts").mkdir()
    select(archive, work, work / "parts")
    (work / "parts").rename(folder)
    shutil.rmtree(work)
    return folder


def _run(command: list[str], cwd: Path | None = None) -> str:
    environment = {**os.environ, "LC_ALL": "C"}
    try:
        done = subprocess.run(
            command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=DEADLINE, check=True
        )
    except subprocess.CalledProcessError as error:
        raise CapabilityError(
            f"{' '.join(command)} failed: {error.stderr.strip()[-2000:]}",
            "check the network and that `apt-get update` works on this machine",
        ) from error
    except subprocess.TimeoutExpired as error:
        raise CapabilityError(f"{' '.join(command)} took longer than {DEADLINE} s") from error
    return done.stdout
