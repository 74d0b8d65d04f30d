from __future__ import annotations

import re
import tomllib
from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from colo.config import Address, Config, TapUplink, UnixUplink, check_files, load
from colo.config.tables import Problems, read_table
from colo.errors import ConfigError

ROOT = Path(__file__).parents[2]
EXAMPLE = re.search(r"```toml\n(.*?)```", (ROOT / "docs/architecture.md").read_text(), re.DOTALL)[1]  # type: ignore[index]


def _load(folder: Path, text: str) -> Config:
    file = folder / "web.toml"
    file.write_text(text)
    return load(file)


def _problems(folder: Path, text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        _load(folder, text)
    first, *lines = str(caught.value).splitlines()
    assert first.startswith(str(folder / "web.toml"))
    assert first.endswith(f"{len(lines)} problem" + "s" * (len(lines) != 1))
    return [line.strip() for line in lines]


def _changed(old: str, new: str) -> str:
    assert old in EXAMPLE
    return EXAMPLE.replace(old, new, 1)


def test_the_example_of_the_architecture_is_a_configuration_with_its_paths_resolved(tmp_path: Path) -> None:
    config = _load(tmp_path, EXAMPLE)
    assert config.agent.peer == Address("10.0.0.2", 7700)
    assert config.agent.run_dir == Path("/run/colo/web")
    assert config.tls.ca == tmp_path / "ca.pem"
    assert config.vm.kernel == tmp_path / "vmlinuz"
    assert config.vm.nic[0].uplink == TapUplink("colo0", "br0")


def test_the_example_shows_the_defaults(tmp_path: Path) -> None:
    config = _load(tmp_path, EXAMPLE)
    short = _load(tmp_path, EXAMPLE.split("[checkpoint]")[0])
    assert config == short


def test_everything_wrong_is_told_at_once(tmp_path: Path) -> None:
    text = EXAMPLE
    for old, new in (
        ('node = "alpha"', 'node = "Alpha"'),
        ('peer = "10.0.0.2:7700"', 'peer = "10.0.0.2"'),
        ('key = "alpha.key"', ""),
        ("memory_mib = 256", "memory_mb = 256"),
        ("cpus = 1", "cpus = true"),
        ("period_ms = 10000", "period_ms = -1"),
        ("52:54:00:c0:10:01", "53:54:00:c0:10:01"),
        ("extra = []", 'extra = ["-device", "virtio-balloon-pci", "-snapshot"]'),
    ):
        assert old in text
        text = text.replace(old, new, 1)
    problems = _problems(tmp_path, text)
    assert [line.split(": ")[0] for line in problems] == [
        "agent.node",
        "agent.peer",
        "tls.key",
        "vm.memory_mib",
        "vm.nic[0].mac",
        "vm.cpus",
        "vm.extra[1]",
        "vm.extra[2]",
        "vm.memory_mb",
        "checkpoint.period_ms",
    ]
    assert "did you mean 'memory_mib'?" in problems[8]
    assert problems[9] == "checkpoint.period_ms: -1 is out of range; it must be: integer, 0 to 3600000"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('peer_node = "beta"', 'peer_node = "alpha"', "agent.peer_node: 'alpha' is this node itself"),
        (
            'state_dir = "/var/lib/colo/web"',
            'state_dir = "/run/colo/web"',
            "agent.state_dir: is the same folder",
        ),
        ('node = "witness"', 'node = "beta"', "witness.node: 'beta' is one of the pair"),
        ("10.0.0.2:7700", "10.0.0.1:7700", "agent.peer: 10.0.0.1:7700 is where this agent"),
        ("10.0.0.2:7700", "10.0.0.2:70000", "agent.peer: '10.0.0.2:70000' has a port that is not 1 to 65535"),
        (
            "10.0.0.2:7700",
            "fe80::1:7700",
            "agent.peer: 'fe80::1:7700' has no proper host; an IPv6 address needs brackets",
        ),
        ('kernel = "vmlinuz"', "", "vm.kernel: is missing, but initrd or append is given"),
        ('cpu = "qemu64"', 'cpu = "host,+vmx"', "vm.cpu: '+vmx' is refused: state of a nested hypervisor"),
        (
            'machine = "q35"',
            'machine = "virt"',
            "vm.machine: 'virt' does not have this form; it must be: pc, q35",
        ),
        (
            'accel = "auto"',
            'accel = "xen"',
            "vm.accel: 'xen' is none of them; it must be: one of auto, kvm, tcg",
        ),
        ("52:54:00:c0:10:01", "52:54:00:c0:10", "vm.nic[0].mac: '52:54:00:c0:10' does not have this form"),
        (
            'tap = "colo0", bridge = "br0"',
            'tap = "colo0", unix = "x"',
            "vm.nic[0].uplink: must be a table with tap or unix, exactly",
        ),
        ('tap = "colo0", bridge = "br0"', 'tap = "colo0"', "vm.nic[0].uplink.bridge: is missing"),
        (
            "peer_timeout_ms = 700",
            "peer_timeout_ms = 200",
            "timing: peer_timeout_ms (200) must be at least 3 * heartbeat_ms",
        ),
        ("lease_ttl_ms = 2000", 'lease_ttl_ms = "2 s"', "timing.lease_ttl_ms: '2 s' is not an integer"),
        ("/run/colo/web", "/run/" + "x" * 100, "is longer than 90 bytes"),
        ("[checkpoint]", "[checkpont]", "checkpont: unknown key; did you mean 'checkpoint'?"),
    ],
)
def test_a_mistake_is_told_with_its_key_and_what_to_do(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert any(said in line for line in _problems(tmp_path, _changed(old, new)))


def test_two_cards_with_one_address_or_one_tap_are_refused(tmp_path: Path) -> None:
    card = EXAMPLE[EXAMPLE.index("[[vm.nic]]") : EXAMPLE.index("[checkpoint]")]
    problems = _problems(tmp_path, EXAMPLE.replace(card, card + card))
    assert problems == [
        "vm.nic: 2 cards have the MAC address 52:54:00:c0:10:01",
        "vm.nic: 2 cards use the tap device colo0",
    ]


def test_a_card_with_offloads_needs_a_tap_on_a_bridge(tmp_path: Path) -> None:
    text = _changed('backend = "stream"', 'backend = "tap"')
    assert _load(tmp_path, text).vm.nic[0].has_offloads
    assert not _load(tmp_path, EXAMPLE).vm.nic[0].has_offloads
    with pytest.raises(ConfigError, match=r"vm\.nic\[0\]\.backend: 'tap' needs an uplink that is a tap"):
        _load(tmp_path, text.replace('{ tap = "colo0", bridge = "br0" }', '{ unix = "uplink.sock" }'))


def test_a_unix_uplink_is_an_uplink(tmp_path: Path) -> None:
    config = _load(tmp_path, _changed('{ tap = "colo0", bridge = "br0" }', '{ unix = "uplink.sock" }'))
    assert config.vm.nic[0].uplink == UnixUplink(tmp_path / "uplink.sock")


def test_an_ipv6_endpoint_is_read_and_written_in_brackets(tmp_path: Path) -> None:
    config = _load(tmp_path, _changed("10.0.0.2:7700", "[fe80::0:1]:7700"))
    assert config.agent.peer == Address("fe80::1", 7700)
    assert str(config.agent.peer) == "[fe80::1]:7700"


@pytest.mark.parametrize(
    "content", [b"a = ", b"\xff\xfe", b"a = " + b"9" * 5000, b"a = " + b"[" * 100_000, b"#" * (2 << 20)]
)
def test_what_is_no_configuration_file_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "web.toml"
    file.write_bytes(content)
    with pytest.raises(ConfigError, match=r"web\.toml"):
        load(file)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        load(tmp_path / "web.toml")


def test_files_that_are_named_must_be_readable(tmp_path: Path) -> None:
    config = _load(tmp_path, EXAMPLE)
    for name in ("ca.pem", "alpha.pem", "initramfs"):
        (tmp_path / name).touch()
    (tmp_path / "vmlinuz").mkdir()
    with pytest.raises(ConfigError) as caught:
        check_files(config)
    assert "2 problems" in str(caught.value)
    assert f"tls.key: {tmp_path}/alpha.key: No such file or directory" in str(caught.value)
    assert f"vm.kernel: {tmp_path}/vmlinuz: is a folder" in str(caught.value)


_VALUES = st.recursive(
    st.one_of(st.integers(), st.text(max_size=20), st.booleans(), st.floats(), st.datetimes()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=5,
)


@given(st.data())
def test_no_value_of_any_key_is_anything_but_taken_or_told(data: st.DataObject) -> None:
    document = tomllib.loads(EXAMPLE)
    table = document[data.draw(st.sampled_from(sorted(document)))]
    table[data.draw(st.sampled_from([*sorted(table), "new"]))] = data.draw(_VALUES)
    problems = Problems(Path("/etc/colo/web.toml"))
    result = read_table(Config, document, "", problems)
    assert isinstance(result, Config) or problems.lines
    assert all(line.isprintable() for line in problems.lines)


def test_configurations_can_be_compared_and_varied(tmp_path: Path) -> None:
    config = _load(tmp_path, EXAMPLE)
    assert attrs.evolve(config, vm=attrs.evolve(config.vm, memory_mib=512)) != config
