from __future__ import annotations

from typing import Any, get_args

import pytest
from attrs import fields

from colo.model.role.actions import RunAlone
from colo.model.role.events import Event, LeaseEvent, StandbyCleared
from colo.model.role.states import WISHES, WORDS, State, Wish
from colo.model.role.table import IGNORE, TABLE, To
from colo.model.table import Fault

EVENTS = (*get_args(Event), *get_args(LeaseEvent))
TRANSITIONS = [
    (state, event, to) for state, row in TABLE.items() for event, to in row.items() if isinstance(to, To)
]
HOLDERS = {
    state for state, wish in WISHES.items() if wish in (Wish.KEEP, Wish.NAME_STANDBY, Wish.CLEAR_STANDBY)
}


@pytest.mark.parametrize("state", State)
def test_every_event_has_an_entry_in_every_state(state: State) -> None:
    assert set(TABLE[state]) == set(EVENTS)
    assert all(entry == IGNORE or isinstance(entry, To | Fault) for entry in TABLE[state].values())


def test_every_state_has_a_word_and_a_wish_and_can_be_reached() -> None:
    assert set(WORDS) == set(WISHES) == set(State)
    assert {to.state for _, _, to in TRANSITIONS} == set(State)


@pytest.mark.parametrize(("state", "event", "to"), TRANSITIONS)
def test_every_transition_has_a_sentence_that_its_event_fills(state: State, event: Any, to: To) -> None:
    values = {field.name: f"<{field.name}>" for field in fields(event)}
    sentence = to.why.format(before="<before>", **values)
    assert sentence, state
    assert "{" not in sentence


def test_only_the_word_of_the_witness_lets_a_primary_that_had_a_standby_run_alone() -> None:
    exposed = {State.CONFIRMING, State.PROTECTED, State.CLEARING, State.FENCED}
    alone = {event for state, event, to in TRANSITIONS if state in exposed and RunAlone in to.do}
    assert alone == {StandbyCleared}


def test_whoever_loses_the_lease_stops() -> None:
    for state, event, to in TRANSITIONS:
        if event.__name__ in ("LeaseDenied", "HigherToken"):
            assert to.state not in HOLDERS, state
