"""The Rust core. Numbers are 64 bit, times CLOCK_BOOTTIME in nanoseconds unless a name ends in `_ms`.

All calls release the GIL where they wait or copy, and may come from any thread. A descriptor that is passed
in is duplicated: the caller keeps its own, which becomes non-blocking with it.
"""

from collections.abc import Sequence
from os import PathLike
from typing import Any, Literal, Self, final

PAGE_SIZE: int
"""Bytes of a guest page: 4096."""

class TrackingLostError(RuntimeError):
    """Written pages may have been missed (QEMU is a new process, the kernel refused): copy everything again,
    with a new tracker.
    """

class StagingLimitError(RuntimeError):
    """More pages than the staging buffer may hold. Nothing was copied: the set is still to be sent."""

def boottime_ns() -> int:
    """CLOCK_BOOTTIME: it goes on while the host sleeps. Leases, gates and hold limits use it."""

def uffd_shim() -> bytes:
    """The shared object to preload into QEMU (`LD_PRELOAD`); see `crates/python/shim/uffd_shim.c`."""

def guest_program() -> bytes:
    """The program inside the demo guest: a static executable for this machine."""

def read_to_end(fd: int, limit: int) -> bytes:
    """What comes out of a pipe until its other end is closed. What is beyond `limit` is read but not kept;
    then ValueError. The descriptor, which blocks, stays the caller's.
    """

def receive_uffd(fd: int, timeout_ms: int) -> tuple[int, int]:
    """Takes the userfaultfd that the shim sends over an accepted unix stream connection.

    Gives (descriptor, pid of the sender by SO_PEERCRED). The caller owns the descriptor and checks the pid.
    Raises OSError: with the errno of userfaultfd(2) when the shim could not create one, without when nothing
    of the kind came in time.
    """

def probe_trackers() -> list[tuple[Literal["pagemap-scan", "soft-dirty", "compare"], bool, str]]:
    """(kind, usable here, why), in order of preference; each was tried on memory of this process."""

@final
class GuestRam:
    """A shared mapping of the file behind QEMU's `memory-backend-file,share=on`. The file must not shrink."""

    def __new__(cls, fd: int, size: int) -> GuestRam:
        """Maps `size` bytes, a multiple of 4096. Raises ValueError (size), OSError (mapping)."""

    def blocks(self) -> int:
        """Blocks of 512 bytes that the file has (`st_blocks`), more as pages are touched. A drop means that a
        hole was punched: no tracker reports it, so everything has to be copied again. Raises OSError.
        """

    def used(self) -> PageSet:
        """Pages that anybody touched. The others are zeros, take no memory, and do not by being asked for.
        Raises OSError.
        """

    def hash(self) -> int:
        """xxh3-64 of all of it; means something while the VM is stopped. Untouched pages stay so."""

@final
class PageSet:
    """Numbers of guest pages. Immutable."""

    @staticmethod
    def all(pages: int) -> PageSet:
        """Pages 0 to `pages` - 1. Raises ValueError beyond 64 TiB."""

    def union(self, other: PageSet) -> PageSet:
        """Pages that are in either."""

    def difference(self, other: PageSet) -> PageSet:
        """Pages that are not in the other."""

    def split(self, count: int) -> tuple[PageSet, PageSet]:
        """The first `count` pages, and the others."""

    def runs(self) -> int:
        """How many contiguous runs it consists of."""

    def __len__(self) -> int:
        """How many pages it has."""

@final
class Tracker:
    """Which pages the VM writes. Tracking begins when it is made; one per QEMU process."""

    def __new__(
        cls,
        kind: Literal["pagemap-scan", "soft-dirty", "compare"],
        pid: int,
        ram: GuestRam,
        uffd: int | None,
    ) -> Tracker:
        """`uffd` (of process `pid`, see `receive_uffd`) is what `pagemap-scan` needs.

        Raises ValueError (no such kind, no uffd), RuntimeError (the process does not map the RAM as needed),
        OSError.
        """

    def collect(self, *, stopped: bool = False) -> PageSet:
        """Pages written since the last call, perhaps more, none missed: a write that happens meanwhile is in
        this set or in the next one. Copy contents after the call, not before.

        `stopped`: the VM stands still from before this call until the pages are copied; some trackers then
        forget what they had to report twice. False is always right. Raises TrackingLostError.
        """

    def count(self) -> int:
        """How many pages `collect` would give now, about; nothing changes, and the VM is left alone. It
        visits all of RAM: 0.25 ms for each GiB and more with `pagemap-scan`. Waits for a `collect` that is
        under way, and the other way round. Raises TrackingLostError.
        """

@final
class Encoder:
    """What one secondary has already, and how pages go to it; one per pairing. With `shadow` it keeps a copy
    of all that was sent, so that equal pages are left out and others go as what changed: it takes memory for
    each page that ever held something. What was sent counts as what the secondary has.
    """

    def __new__(cls, ram: GuestRam, *, shadow: bool) -> Encoder:
        """For a secondary that has nothing yet. Raises OSError."""

    def shadow_hash(self) -> int | None:
        """xxh3-64 of what the secondary's cache should hold; None without a shadow."""

@final
class Staging:
    """The buffer that a checkpoint's pages are copied to, most of them before the VM is stopped, and sent
    from while it runs.
    """

    def __new__(cls, ram: GuestRam, limit_bytes: int) -> Staging:
        """Raises OSError when there is no memory for it."""

    def reserve(self, pages: int) -> None:
        """Finds memory for so many pages, or for all that fit, while the VM runs: `gather` is faster then."""

    def clear(self) -> None:
        """Nothing is staged any more. Raises RuntimeError while the previous pages are still being sent."""

    def gather(self, pages: PageSet) -> int:
        """Copies these pages, in place of what is staged of them; gives the bytes that are staged now.

        Raises StagingLimitError (they do not fit), RuntimeError (the previous ones are still being sent),
        ValueError (pages that the RAM does not have); nothing was copied then.
        """

@final
class Replica:
    """The secondary's copy of the primary's RAM (the cache), and what is coming in. A resync begins with a
    new one.
    """

    def __new__(cls, ram: GuestRam, staging_limit: int) -> Replica:
        """`ram` is the SVM's; `staging_limit` bounds the bytes of checkpoints coming in. Raises OSError."""

    def device(self, checkpoint: int) -> bytes:
        """Device state of a checkpoint that is whole or was the last stored. Raises RuntimeError."""

    def store(self, checkpoint: int) -> int:
        """Cache += what came in. The SVM may run meanwhile, or rest: its RAM stays as it is. Gives the pages
        that the cache has newer than the SVM's RAM. Raises RuntimeError when this checkpoint is not the next
        whole one.
        """

    def restore(self, dirty: PageSet) -> int:
        """The SVM is stopped: its RAM := cache on the pages that the cache has newer and on `dirty` (what the
        SVM, a reset or a load wrote). Gives the pages copied. Raises RuntimeError before any checkpoint was
        stored.
        """

    def forget(self, checkpoint: int) -> None:
        """Drops what came in of this checkpoint and of later ones."""

    def ram_hash(self) -> int:
        """xxh3-64 of the SVM's RAM; means something while the SVM is stopped."""

    def cache_hash(self) -> int:
        """xxh3-64 of the cache."""

class Comparison:
    """The comparison alone, as the relay uses it: frames and `now` in, frames and events out, no I/O. For
    tests, and for tools that look at recorded frames. The rules: docs/architecture.md, `compare`.

    `nic` is below 256. Frames, checkpoints and times may have any value; time should not run backwards.
    """

    def __new__(cls, *, hold_ns: int, held_bytes: int, flows: int, pending_bytes: int) -> Self:
        """In epoch 1, with a secondary. How long a frame may wait; bytes held at which `full` says so; flows
        known; bytes per flow and side that the other side has not produced yet.
        """

    def primary(self, nic: int, frame: bytes, now: int) -> None:
        """A frame of the PVM, in the epoch that the last cut began."""

    def secondary(self, nic: int, epoch: int, frame: bytes, now: int) -> None:
        """A frame of the SVM, produced in `epoch`, its sequence numbers translated already."""

    def cut(self, checkpoint: int, now: int) -> None:
        """The PVM's frames from here on belong to epoch `checkpoint` + 1."""

    def commit(self, checkpoint: int, now: int) -> None:
        """The secondary holds `checkpoint`: what was sent before its cut may go."""

    def loaded(self, checkpoint: int, now: int) -> None:
        """The SVM runs epoch `checkpoint` + 1: hold limits count from here at the earliest."""

    def alone(self, now: int) -> None:
        """There is no secondary any more: all may go, until the next cut."""

    def on_time(self, now: int) -> None:
        """Looks at the clock: hold limits, messages that differ, flows that are over."""

    def next_deadline(self) -> int | None:
        """When `on_time` is next needed."""

    def pop_event(self) -> tuple[Any, ...] | None:
        """The next of

        ("isn", nic: int, flow: str, isn: int)    the PVM began a connection; nothing later of it came out yet
        ("divergence", nic: int, flow: str, kind: str, detail: str, waited_ns: int)   docs/divergences.md has
            the kinds
        ("hold_limit", nic: int, flow: str, waited_ns: int)
        ("queue_limit", held_bytes: int)

        To be asked before `pop_release`.
        """

    def pop_release(self) -> tuple[int, bytes] | None:
        """The next (nic, frame) that may leave."""

    def full(self) -> bool:
        """As much is held as may be: take no more frames from the PVM."""

    def stats(self) -> dict[str, int]:
        """What is now: held_frames, held_bytes, flows."""

@final
class Tls:
    """Our certificate and key and the CA of both nodes; PEM files. TLS 1.3 only, both sides show a
    certificate whose DNS name is the node's. Where certificates limit their use they must allow both client
    and server.
    """

    def __new__(cls, ca: str | PathLike[str], cert: str | PathLike[str], key: str | PathLike[str]) -> Tls:
        """Raises OSError (unreadable) and ValueError (not what it should be); both name the file."""

@final
class Relay:
    """The thread that moves frames between uplinks, VM sockets and link. It begins with role and gate closed.

    Calls that change the role, and `cut`, have taken effect when they return, and raise TimeoutError after
    2 s without an answer. The others are carried out in order, soon. After the end of the thread all but
    `stop`, `events`, `gate` and `progress` raise RuntimeError; so does a call when 1024 wait.

    Bounds. Bytes for a VM that does not read: 8 MiB per NIC; bytes for the link: 64 MiB, from 32 MiB on no
    frames from the uplink. Beyond, frames from the uplink are dropped before either VM sees them
    (`ingress_dropped`). A link whose 64 MiB are full is lost. Frames on their way to an uplink that is slow
    or gated: the VM is not read from 4 MiB on. Frames after a cut on the secondary: 32 MiB, then they are
    dropped (`deferred_dropped`). Events: 4096, then the link is lost.
    """

    def __new__(
        cls,
        nics: int,
        hold_ms: int,
        held_mib: int,
        heartbeat_ms: int,
        peer_timeout_ms: int,
        stall_timeout_ms: int,
        *,
        offloads: Sequence[int] = (),
    ) -> Relay:
        """`hold_ms`: a frame held that long asks for a checkpoint. `held_mib`: with that much held the VM is
        not read. `offloads`: the cards that have them; before each of their frames stands virtio's header
        of 12 bytes (virtio 1.2, 5.1.6; no UDP segmentation), at the VM, the uplink and in FRAME_IN. A frame
        that its header does not fit is dropped and counted (`bad_headers`). Raises OSError, ValueError
        (beyond 31).
        """

    def fileno(self) -> int:
        """An eventfd: readable when `events` has something. Only `events` reads it."""

    def events(self) -> list[tuple[Any, ...]]:
        """Takes all events so far, in order. Each is one of

        ("link_up", peer: str)            both accepted each other: handshake done, first message there
        ("link_down", reason: str)        the link ended, not by `detach_link`; attach another one
        ("control", payload: bytes)       what the peer's agent sent
        ("silent", ms: int)               nothing came for peer_timeout_ms; once until something does
        ("stalled", ms: int)              heartbeats come, their progress stands still; once until it moves
        ("divergence", nic: int, flow: str, kind: str, detail: str, ms: int, epoch: int)   for the kinds see
            docs/divergences.md; so long an answer of the PVM had waited by then; the PVM's epoch
        ("hold_limit", nic: int, flow: str, ms: int, epoch: int)    a frame has waited for the SVM's twin
        ("output", epoch: int, only_acks: bool)   what the PVM said in this epoch waits (`watch_output`): TCP
            acknowledgements without anything else, or more; first one, then the other, or the other only
        ("queue_limit", bytes: int)       too much is held or waits to be compared
        ("sent", checkpoint: int, tally: dict[str, int])   all of `send_pages` (checkpoint 0) or `send_state`
            has been handed to the link; counted are pages by kind (zero, equal, delta, twin, lz4, raw),
            device_bytes, sent_bytes and what of it is sent_device_bytes, encode_ns, and of that lz4_ns, which
            saved lz4_saved bytes
        ("state_complete", checkpoint: int, pages: int, bytes: int)   the replica holds all of it, checked
        ("state_damaged", checkpoint: int, why: str)    it did not fit and was forgotten
        ("vm_closed", nic: int)           the VM's socket ended, or sent what is no frame
        ("uplink_closed", nic: int)       likewise
        ("gate_closed",)                  the gate was open and is closed now
        ("fatal", why: str)               the thread has ended

        A divergence, a hold limit, a queue limit and output are reported once per epoch; a checkpoint is the
        answer to all four.
        """

    def attach_vm(self, nic: int, fd: int) -> None:
        """Connected stream socket of `-netdev stream` (4-byte big-endian length before each frame, 69632 at
        most). Replaces an earlier one. Raises ValueError (no such NIC), RuntimeError (it has offloads),
        OSError.
        """

    def attach_vm_tap(self, nic: int, far: int, near: int) -> None:
        """A card with offloads: `far`, a tap with virtio's header whose frames come from and go to `near`,
        the tap that QEMU reads. `near` is polled for what QEMU has not read, and emptied when the SVM is
        stopped. Replaces an earlier one. Raises ValueError (no such NIC), RuntimeError (it has no offloads),
        OSError.
        """

    def attach_uplink(self, nic: int, fd: int, kind: Literal["tap", "stream"]) -> None:
        """A tap opened with IFF_NO_PI and IFF_VNET_HDR, header of 12 bytes, with offloads if the card has
        them and only then; or, for a card without, a stream socket framed like the VM's. To a tap, segments
        of a connection that follow each other go as one frame, which the kernel cuts again. Replaces an
        earlier one. Raises ValueError, RuntimeError, OSError.
        """

    def attach_link(self, fd: int, tls: Tls, peer: str, *, server: bool) -> None:
        """Connected TCP socket to (server=False) or from (server=True) the node `peer`. Replaces an earlier
        link without an event. Sets TCP_NODELAY, TCP_NOTSENT_LOWAT, TCP_USER_TIMEOUT. Not up after 5 s:
        `link_down`. Raises ValueError (`peer` is no DNS name), OSError (not TCP).
        """

    def detach_link(self) -> None:
        """Ends the link without an event, after sending what waits as far as the socket takes it at once."""

    def send(self, payload: bytes) -> None:
        """CONTROL to the peer's agent, 1 MiB at most (ValueError). In order with frames and cuts. On a new
        link it waits until the peer's certificate is found to be the right one. Lost without a link.
        """

    def progress(self) -> None:
        """The decision loop lives. Heartbeats carry a count of these calls."""

    def gate(self, until_ns: int) -> None:
        """Frames may leave while the clock is below `until_ns`; asked before each write. 0 closes."""

    def pause_ingress(self, timeout_ms: int) -> bool:
        """Gives the VM no more frames, and waits until it has read those it was given. False when it has not
        after `timeout_ms`. Paused either way, until `resume_ingress`; what comes meanwhile lies behind a
        `cut`.
        """

    def cut(self, checkpoint: int) -> None:
        """The VM is stopped: takes the rest of its output, begins epoch `checkpoint` + 1, tells the secondary
        where in the stream of frames that is, and after it the frames that the VM was not known to have read
        when the pause was answered, or has not read now. The first cut after `alone` begins the feeding of
        the secondary (role primary); a new link needs `alone` first.

        At most one cut may be outstanding at the secondary: it has to store, deliver or forget before the
        next.
        Raises RuntimeError: the link is not up, role closed or secondary, the VM goes on talking.
        """

    def resume_ingress(self) -> None:
        """The VM gets frames again, those that waited first."""

    def send_pages(
        self, ram: GuestRam, pages: PageSet, encoder: Encoder, lz4: Literal["never", "sample", "always"]
    ) -> None:
        """Pre-copy from live RAM; then ("sent", 0, ...). Up to 8 transfers wait. Raises RuntimeError (no
        link, too many), ValueError (no such `lz4`).

        `lz4`: which of the pages are compressed that have no short delta; `sample` is one of 16.
        """

    def send_blank(self, pages: PageSet, encoder: Encoder) -> None:
        """Pre-copy of pages that were zeros when the tracking had begun, in a few bytes; then
        ("sent", 0, ...). Raises RuntimeError as `send_pages`.
        """

    def send_state(
        self,
        checkpoint: int,
        staging: Staging,
        device: bytes,
        encoder: Encoder,
        lz4: Literal["never", "sample", "always"],
    ) -> None:
        """A checkpoint: staged pages, device state, sums; then ("sent", `checkpoint`, ...). Encoding happens
        while it is sent. Raises as `send_pages`.
        """

    def commit(self, checkpoint: int) -> None:
        """The secondary holds all of it (RECEIVED): what was sent before its cut goes out."""

    def commit_when(self, checkpoint: int, payload: bytes) -> None:
        """Commits at once when the peer's agent says exactly this; the event ("control", payload) comes as
        ever. Until the link ends, or the next call.
        """

    def loaded(self, checkpoint: int) -> None:
        """The SVM runs epoch `checkpoint` + 1 since now: hold limits count from here."""

    def watch_output(self, on: bool) -> None:
        """From now on it is told when output waits (also what waits already), or no more."""

    def alone(self) -> None:
        """No secondary (any more): what is held goes, later frames go at once. Also the way from closed to
        serving. Raises RuntimeError for a secondary.
        """

    def begin_secondary(self, replica: Replica) -> None:
        """Role secondary from anew: queues and translations are dropped, and the SVM's output is until
        `enter_epoch`.
        """

    def svm_stopped(self) -> None:
        """The SVM is stopped: its output is dropped until `enter_epoch`, and so is input that it has not
        read. Raises RuntimeError when not secondary.
        """

    def enter_epoch(self, epoch: int) -> None:
        """After the load, before the SVM runs: drops its output so far, forgets translations, labels what
        follows. Raises RuntimeError: not secondary, or the SVM goes on talking.
        """

    def stored(self, checkpoint: int) -> None:
        """The cache holds this checkpoint: what came in before its cut is dropped, if it waits. While the SVM
        rests, what comes in after it waits for `deliver`, and the next cut may come.
        """

    def deliver(self) -> None:
        """After the SVM runs, before LOADED is sent: what came in after the cut goes to the SVM."""

    def forget_cut(self) -> None:
        """The checkpoint will never be whole: what came in after its cut goes to the SVM. Raises RuntimeError
        when not secondary.
        """

    def promote(self) -> None:
        """Secondary to alone. Frames that wait for the SVM go to it; the SVM's output since shortly before
        the primary was last heard (256 KiB at most) goes out, as the primary may not have sent it;
        translations stay. Raises RuntimeError when not secondary.
        """

    def close(self) -> None:
        """Role closed: nothing in, nothing out, queues dropped, from when this returns."""

    def inject(self, nic: int, frame: bytes) -> None:
        """A frame of our own to the uplink; the gate applies. Raises ValueError."""

    def guest_addresses(self, nic: int) -> list[tuple[str, str]]:
        """(MAC, IPv4 or IPv6 address) seen as source of the VM's frames, most recent first, 16 at most."""

    def stats(self) -> dict[str, int]:
        """Counters since the start:

        frames_in, frames_out, vm_frames: from uplinks (on a secondary: to the SVM), to uplinks, from the VM
        ingress_dropped, egress_dropped, deferred_dropped, svm_dropped, events_dropped: see the bounds above
        ignored: messages of the peer that do not fit the role (late ones of a former role)
        stale_ingress_bytes: what a stopped SVM had not read and will see after the load
        link_bytes_in, link_bytes_out (encrypted), control_in
        pages_zero, pages_equal, pages_delta, pages_twin, pages_lz4, pages_raw: pages for the secondary, by
        how they were sent (equal: not at all; twin: as another one's number); device_bytes: its device state;
        bulk_bytes: payload that all of it took, bulk_device_bytes: of which for device state; encode_us:
        reading and encoding

        of the comparison, since the pairing began: primary_frames, secondary_frames, released_agreed,
        released_commit, released_passed, clamped_acks, clamped_windows, made_acks,
        divided: long segments whose front went alone; replaced_acks, divergences,
        hold_limits, queue_limits, late_secondary, early_secondary, unmatched_secondary

        and what is now: held_frames, held_bytes, pending_bytes, flows; hold_limit_us, how long a flow may
        be silent,
        and lag_p99_us, within which 99 of 100 frames found their twin, 0 while none has
        (docs/hold-limit.md); translated
        (connections, here or after a take-over); role (0 closed, 1 alone, 2 primary, 3 secondary),
        link_up (0 or 1), egress_waiting (frames).
        """

    def divergences(
        self, last: int
    ) -> tuple[
        dict[str, int],
        list[tuple[int, str, str, int, int, int, int | None, bytes, bytes, str]],
    ]:
        """All divergences since the start of the relay counted by kind, and the last `last` of the 256 kept,
        oldest first: (nic, flow, kind, epoch, noticed at, held_ns, offset, primary, secondary, detail).

        Kinds: stream, end (FIN, RST), handshake, message, missing (a hold limit). Time is CLOCK_BOOTTIME.
        `held_ns`: how long the PVM's oldest frame of the flow had waited by then. `offset`: in the stream,
        from the first byte compared, or in the message; None where that means nothing. 16 bytes of each at
        most.
        """

    def capture(self, mib: int) -> None:
        """From now on keeps the last frames of PVM, SVM and uplink in `mib` MiB, while this side is primary.
        With a divergence or hold limit that is told, 512 more frames are kept (as far as they fit in half of
        it), then none until `captured`.
        """

    def captured(self, comment: str) -> bytes:
        """The kept frames as a pcapng file (interfaces pvm, svm, uplink; with several NICs pvm0, svm0, ...),
        and begins anew. Raises RuntimeError without `capture`.
        """

    def stop(self) -> None:
        """Ends the thread; descriptors are closed then. May be called again."""
