from __future__ import annotations

import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from colo.guest import cpio


def read(archive: bytes) -> dict[str, tuple[int, bytes]]:
    """An independent reader of the format: name -> mode, content."""
    found: dict[str, tuple[int, bytes]] = {}
    at = 0
    while True:
        assert archive[at : at + 6] == b"070701"
        fields = [int(archive[at + 6 + 8 * n : at + 14 + 8 * n], 16) for n in range(13)]
        mode, size, name_size = fields[1], fields[6], fields[11]
        name = archive[at + 110 : at + 110 + name_size - 1].decode()
        content = at + (110 + name_size + 3) // 4 * 4
        at = content + (size + 3) // 4 * 4
        if name == "TRAILER!!!":
            assert at == len(archive)
            return found
        found[name] = (mode, archive[content : content + size])


@given(
    st.lists(
        st.tuples(st.from_regex(r"[a-z]{1,9}", fullmatch=True), st.binary()), unique_by=lambda file: file[0]
    )
)
def test_what_is_written_can_be_read(files: list[tuple[str, bytes]]) -> None:
    written = read(cpio.archive([cpio.file(name, content) for name, content in files]))
    assert written == {name: (stat.S_IFREG | 0o644, content) for name, content in files}


def test_folders_links_and_programs_keep_their_kind() -> None:
    entries = [cpio.directory("bin"), cpio.file("bin/a", b"x", executable=True), cpio.symlink("bin/b", "a")]
    assert read(cpio.archive(entries)) == {
        "bin": (stat.S_IFDIR | 0o755, b""),
        "bin/a": (stat.S_IFREG | 0o755, b"x"),
        "bin/b": (stat.S_IFLNK | 0o777, b"a"),
    }


@pytest.mark.parametrize(
    "entries",
    [
        [cpio.file("a", b""), cpio.file("a", b"")],
        [cpio.file("bin/a", b""), cpio.directory("bin")],
    ],
)
def test_an_archive_that_the_kernel_would_unpack_wrongly_is_refused(entries: list[cpio.Entry]) -> None:
    with pytest.raises(ValueError, match="twice, or before its folder"):
        cpio.archive(entries)
