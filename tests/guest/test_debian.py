from __future__ import annotations

from pathlib import Path

import pytest

from colo.errors import CapabilityError
from colo.guest.debian import Archive, choose_mirror

UPDATED = [
    "DEP-11|Debian|Debian|main|http://mirror.example/debian/",
    "Packages|Vendor|Vendor|main|https://vendor.example/apt/",
    "Packages|Debian|Debian-Security|main|http://mirror.example/debian-security/",
    "Packages|Debian|Debian|contrib|http://contrib.example/debian/",
    "Packages|Debian|Debian|main|http://mirror.example/debian/",
]
NEVER_UPDATED = [
    "Packages|$(ORIGIN)|$(LABEL)|main|http://mirror.example/debian-security/",
    "Packages|$(ORIGIN)|$(LABEL)|main|http://mirror.example/debian/",
]


def test_the_mirror_is_debian_itself_not_security_nor_a_vendor() -> None:
    assert choose_mirror(UPDATED) == "http://mirror.example/debian/"


def test_before_the_first_apt_get_update_the_mirror_is_found_too() -> None:
    assert choose_mirror(NEVER_UPDATED) == "http://mirror.example/debian/"
    assert (
        choose_mirror([*NEVER_UPDATED, UPDATED[-1].replace("mirror", "known")])
        == "http://known.example/debian/"
    )


def test_a_machine_of_vendors_only_has_no_mirror() -> None:
    assert choose_mirror(UPDATED[:3]) is None


def test_a_path_that_apt_would_read_otherwise_is_refused() -> None:
    with pytest.raises(CapabilityError, match="without spaces"):
        Archive(Path("/nowhere/with space"), ("bookworm",))
