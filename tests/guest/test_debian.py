from __future__ import annotations

from pathlib import Path

import pytest

from colo.errors import CapabilityError
from colo.guest.debian import Archive, mirror_of_indexes, mirror_of_sources

INDEXES = """\
DEP-11|Debian|Debian|main|http://wrong.example/debian/
Packages|Vendor|Vendor|main|https://wrong.example/apt/
Packages|Debian|Debian-Security|main|http://wrong.example/debian-security/
Packages|Debian|Debian|contrib|http://wrong.example/debian/
"""
SOURCES = """\
'http://mirror.example/debian-security/dists/bookworm-security/InRelease' name_InRelease 0
'http://mirror.example/debian/dists/bookworm-updates/InRelease' name_InRelease 0
'http://mirror.example/debian/dists/bookworm/main/binary-amd64/Packages.xz' name_Packages 0
"""


def test_the_mirror_is_debian_itself_not_security_nor_a_vendor() -> None:
    right = "Packages|Debian|Debian|main|http://mirror.example/debian/\n"
    assert mirror_of_indexes(INDEXES + right) == "http://mirror.example/debian/"
    assert mirror_of_indexes(INDEXES) is None


def test_before_the_first_apt_get_update_the_mirror_is_taken_from_the_sources() -> None:
    right = "'http://mirror.example/debian/dists/bookworm/InRelease' name_InRelease 0\n"
    assert mirror_of_sources(SOURCES + right) == "http://mirror.example/debian/"
    assert mirror_of_sources(SOURCES) is None


def test_a_path_that_apt_would_read_otherwise_is_refused() -> None:
    with pytest.raises(CapabilityError, match="without spaces"):
        Archive(Path("/nowhere/with space"), ("bookworm",))
