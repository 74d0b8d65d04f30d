from __future__ import annotations

import pytest

from colo.model.errors import NotNowError, PeerError
from colo.model.role import actions as do
from colo.model.role import events as on
from colo.model.role import lease as ask
from colo.model.role.lease import FOREVER, LeaseAnswer, LeaseGranted, NameStandby, SetGate
from colo.model.role.machine import Action, Role
from colo.model.role.states import State
from colo.model.timing import Timing

MS = 1_000_000
GATE = 1800 * MS


class Story:
    """A role and what it has asked for, with the time in milliseconds."""

    def __init__(self, *events: on.Event | LeaseAnswer, node: str = "alpha") -> None:
        self.role = Role(node, Timing())
        self.now = 0
        self.then(*events)

    def then(self, *events: on.Event | LeaseAnswer) -> tuple[Action, ...]:
        actions: tuple[Action, ...] = ()
        for event in events:
            actions = self.role.step(event, self.now * MS)
        return actions

    def wait(self, milliseconds: int) -> tuple[Action, ...]:
        self.now += milliseconds
        return self.role.handle_timer(self.now * MS)

    def granted(self, token: int = 1) -> tuple[Action, ...]:
        return self.then(LeaseGranted(token, self.now * MS))

    @property
    def state(self) -> State:
        return self.role.state


def kinds(actions: tuple[Action, ...]) -> list[type]:
    return [type(action) for action in actions]


def unprotected() -> Story:
    return Story(on.Boot(), LeaseGranted(1, 0))


def syncing() -> Story:
    story = unprotected()
    story.then(on.SecondaryJoined("beta"))
    return story


def protected() -> Story:
    story = syncing()
    story.then(on.Committed(1), LeaseGranted(1, 0))
    return story


def standing_by() -> Story:
    return Story(on.PrimaryJoined("alpha"), on.Committed(1), node="beta")


def test_a_vm_starts_only_with_the_lease() -> None:
    story = Story()
    assert story.then(on.Boot()) == (ask.AcquireLease(0),)
    assert kinds(story.granted()) == [SetGate, do.StartVm]
    assert story.state is State.UNPROTECTED


def test_a_boot_while_another_node_holds_the_lease_ends_idle() -> None:
    story = Story(on.Boot(), ask.LeaseHeld("beta"))
    assert story.state is State.IDLE
    assert story.role.why == "not started: beta holds the lease"


def test_a_boot_waits_for_the_lease_of_its_own_former_life() -> None:
    story = Story(on.Boot(), ask.LeaseHeld("alpha"))
    assert story.state is State.STARTING
    assert story.wait(100) == (ask.AcquireLease(0),)


def test_protected_begins_when_the_witness_knows_the_standby_not_before() -> None:
    story = syncing()
    assert story.then(on.Committed(1)) == (SetGate(GATE), NameStandby(1, 1, "beta"))
    assert story.role.word == "syncing"
    story.granted()
    assert story.role.word == "protected"


def test_the_gate_is_limited_from_the_moment_the_standby_is_asked_for() -> None:
    story = syncing()
    story.now = 70
    assert SetGate(70 * MS + GATE) in story.then(on.Committed(1))


def test_a_renewal_moves_the_gate_counted_from_before_it_was_sent() -> None:
    story = protected()
    assert story.wait(500) == (ask.RenewLease(1),)
    story.now = 520
    assert story.then(LeaseGranted(1, 501 * MS)) == (SetGate(501 * MS + GATE),)


def test_a_lost_secondary_is_struck_off_before_the_vm_runs_alone() -> None:
    story = protected()
    asked = story.then(on.PeerLost("silent for 700 ms"))
    assert kinds(asked) == [NameStandby, do.EndPairing, do.DropLink]
    assert story.state is State.CLEARING
    assert kinds(story.granted()) == [SetGate, do.RunAlone]
    assert story.role.word == "degraded"


def test_a_secondary_lost_while_a_renewal_is_under_way_is_struck_off_right_after_it() -> None:
    story = protected()
    story.wait(500)
    assert NameStandby not in kinds(story.then(on.PeerLost("silent")))
    assert NameStandby(1, 2, None) in story.granted()


def test_a_primary_that_cannot_reach_the_witness_is_fenced_when_its_gate_closes() -> None:
    story = protected()
    for _ in range(3):
        story.wait(500)
        story.then(ask.WitnessUnreachable("no answer"))
    assert story.state is State.PROTECTED
    actions = story.wait(300)
    assert {do.DropLink, do.StopVm} <= set(kinds(actions))
    assert story.role.word == "fenced"


def test_a_fenced_vm_goes_on_when_the_witness_says_that_nobody_took_over() -> None:
    story = protected()
    assert do.StopVm in kinds(story.wait(1800))
    story.then(ask.WitnessUnreachable("no answer"), on.VmStopped())
    story.wait(100)
    assert kinds(story.granted()) == [SetGate, do.ContinueVm, do.RunAlone]
    assert story.state is State.DEGRADED


def test_a_fenced_vm_is_dropped_when_somebody_took_over() -> None:
    story = protected()
    story.wait(1800)
    story.then(ask.WitnessUnreachable("no answer"))
    story.wait(100)
    assert do.DropVm in kinds(story.then(ask.LeaseRefused("stale")))
    story.then(on.VmDied("dropped"))
    assert story.state is State.IDLE


def test_a_vm_that_is_alone_does_not_need_the_witness() -> None:
    story = unprotected()
    for _ in range(20):
        story.wait(500)
        story.then(ask.WitnessUnreachable("down"))
    assert story.state is State.UNPROTECTED


@pytest.mark.parametrize("story", [unprotected, syncing, protected])
def test_a_higher_token_deposes_at_once(story: type[Story]) -> None:
    deposed = story()
    actions = deposed.then(on.HigherToken("beta", 7))
    assert do.DropVm in kinds(actions)
    assert SetGate(0) in actions or deposed.role.token
    assert "token 7" in deposed.role.why


def test_a_sync_that_fails_leaves_the_vm_running_without_asking_anybody() -> None:
    story = syncing()
    assert kinds(story.then(on.PeerLost("link down"))) == [do.EndPairing, do.DropLink, do.RunAlone]
    assert story.role.may_protect


def test_a_dead_vm_gives_the_lease_back_so_that_the_secondary_takes_over_at_once() -> None:
    story = protected()
    actions = story.then(on.VmDied("killed"))
    assert actions == (SetGate(0), ask.ReleaseLease(1))
    assert kinds(story.granted()) == [do.DropLink, do.DropVm]


def test_a_failover_by_the_operator_stops_then_releases_then_tells_the_secondary() -> None:
    story = protected()
    assert kinds(story.then(on.Failover())) == [SetGate, do.StopVm]
    assert story.then(on.VmStopped()) == (ask.ReleaseLease(1),)
    assert kinds(story.granted()) == [do.DropLink, do.DropVm]
    story.then(on.VmDied("dropped"))
    assert story.state is State.IDLE


def test_a_failover_without_a_secondary_is_refused_and_changes_nothing() -> None:
    for story in (Story(), unprotected(), syncing()):
        before = story.state
        with pytest.raises(NotNowError):
            story.then(on.Failover())
        assert story.state is before


def test_a_failover_asked_for_at_the_secondary_is_the_primarys_to_carry_out() -> None:
    assert kinds(standing_by().then(on.Failover())) == [do.AskToResign]
    assert do.StopVm in kinds(protected().then(on.PeerResigns()))


def test_resign_sent_to_a_secondary_is_the_peers_error() -> None:
    with pytest.raises(PeerError):
        standing_by().then(on.PeerResigns())


def test_a_secondary_is_promoted_when_it_has_both_the_lease_and_a_ready_replica() -> None:
    lease_first, replica_first = standing_by(), standing_by()
    for story in (lease_first, replica_first):
        assert kinds(story.then(on.PeerLost("silent"))) == [ask.AcquireLease, do.EndPairing, do.DropLink]
    assert do.Promote not in kinds(lease_first.granted(2))
    assert do.Promote in kinds(lease_first.then(on.ReplicaReady()))
    replica_first.then(on.ReplicaReady())
    assert kinds(replica_first.granted(2)) == [SetGate, do.Promote]
    assert lease_first.state is replica_first.state is State.DEGRADED


def test_a_secondary_asks_again_as_long_as_the_primary_holds_the_lease() -> None:
    story = standing_by()
    story.then(on.PeerLost("silent"), on.ReplicaReady())
    for _ in range(5):
        story.then(ask.LeaseHeld("alpha"))
        assert story.wait(100) == (ask.AcquireLease(0),)
    assert story.state is State.READY


def test_a_secondary_asks_again_at_once_when_it_learns_of_a_token() -> None:
    story = standing_by()
    story.then(on.PeerLost("silent"))
    assert story.then(ask.LeaseHeld("alpha", 7)) == (ask.AcquireLease(7),)
    assert story.then(ask.LeaseHeld("alpha", 7)) == ()
    assert story.wait(100) == (ask.AcquireLease(7),)


def test_a_secondary_that_the_primary_left_behind_gives_up_and_drops_its_replica() -> None:
    story = standing_by()
    story.then(on.PeerLost("silent"), on.ReplicaReady())
    assert kinds(story.then(ask.LeaseRefused("not-eligible"))) == [do.DropLink, do.DropVm]
    story.then(on.VmDied("dropped"))
    assert story.role.may_join


def test_a_lost_replica_is_never_promoted_even_with_the_lease() -> None:
    story = standing_by()
    story.then(on.PeerLost("silent"))
    story.granted(2)
    actions = story.then(on.ReplicaFailed("load failed"))
    assert ask.ReleaseLease(2) in actions
    assert do.DropVm in kinds(actions)


def test_a_replica_that_is_not_whole_does_not_ask_for_the_lease() -> None:
    story = Story(on.PrimaryJoined("alpha"), node="beta")
    assert kinds(story.then(on.PeerLost("silent"))) == [do.DropLink, do.DropVm]


def test_a_lease_that_is_granted_too_late_is_given_back() -> None:
    story = Story(on.Boot(), on.Shutdown())
    assert story.state is State.IDLE
    assert ask.ReleaseLease(5) in story.granted(5)
    story.granted()
    assert story.role.token == 0


def test_the_gate_is_open_for_ever_only_while_nobody_else_may_have_the_lease() -> None:
    story = unprotected()
    assert SetGate(FOREVER) in Story(on.Boot()).granted()
    story.then(on.SecondaryJoined("beta"))
    assert SetGate(FOREVER) not in story.then(on.Committed(1))
    story.granted()
    story.then(on.PeerLost("silent"))
    assert SetGate(FOREVER) in story.granted()


def test_a_passed_gate_is_told_once_and_is_no_timer_any_more() -> None:
    story = protected()
    story.wait(1800)
    due = story.role.next_timer()
    assert due is None or due > story.now * MS
