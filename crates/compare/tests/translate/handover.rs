//! What a survivor translates is known to the next one.

use colo_compare::translate::{BadTable, Translator};
use colo_packet::build;
use colo_packet::flag;
use proptest::prelude::*;

use crate::world::{NIC, SECOND, World, ack, data, flow, route, syn_ack, with};

impl World {
    /// The secondary of this survivor: it keeps the table, and translates nothing of its own yet.
    fn secondary(&self) -> Self {
        let mut next = Self::new();
        assert_eq!(next.translator.import(&self.translator.export()), Ok(()));
        next.now = self.now;
        next
    }
}

/// The survivor of a failover, with a connection that translates 1000 into 5000.
fn survivor() -> World {
    let mut world = World::open();
    world.translator.take_over();
    world
}

#[test]
fn a_table_that_was_handed_over_counts_from_the_take_over_on() {
    let mut next = survivor().secondary();
    assert_eq!(next.translator.translated(), 1);
    next.sends(&data(1001), &data(1001));
    next.receives(&ack(1001), &ack(1001));
    next.translator.take_over();
    next.sends(&data(1007), &data(5007));
    next.receives(&ack(5013), &ack(1013));
    next.sends(&syn_ack(1000), &syn_ack(5000));
}

#[test]
fn checkpoints_change_nothing_about_it() {
    let mut next = survivor().secondary();
    next.translator.reset();
    next.translator.take_over();
    next.sends(&data(1001), &data(5001));
}

#[test]
fn a_later_table_takes_the_place_of_the_one_before() {
    let mut world = survivor();
    let mut next = world.secondary();
    world.sends(&with(flag::RST, data(1001)), &with(flag::RST, data(5001)));
    world.now += 75 * SECOND;
    world.sends(&data(1001), &data(1001));
    assert_eq!(next.translator.import(&world.translator.export()), Ok(()));
    assert_eq!(next.translator.translated(), 0);
}

#[test]
fn a_new_connection_on_the_same_ports_has_numbers_of_its_own() {
    let mut next = survivor().secondary();
    next.learn(9000);
    next.sends(&syn_ack(2000), &syn_ack(9000));
    next.translator.take_over();
    next.sends(&data(2001), &data(9001));

    let mut next = survivor().secondary();
    next.learn(9000);
    next.translator.reset();
    next.translator.take_over();
    next.sends(&data(9001), &data(9001));

    let mut alone = survivor();
    alone.sends(&syn_ack(2000), &syn_ack(2000));
    alone.sends(&data(2001), &data(2001));
    assert_eq!(alone.translator.translated(), 0);
}

#[test]
fn after_a_take_over_beginnings_are_not_learned() {
    let mut world = World::open();
    world.route = route(4313);
    world.learn(7000);
    world.route = route(4314);
    world.sends(&syn_ack(3000), &syn_ack(3000));
    world.translator.take_over();
    assert_eq!(world.translator.connections(), 1);
    world.sends(&syn_ack(3000), &syn_ack(3000));
    world.route = route(4313);
    world.sends(&syn_ack(2000), &syn_ack(2000));
    assert_eq!(world.translator.connections(), 1);
}

#[test]
fn what_is_no_table_or_too_long_is_refused_and_the_one_before_stays() {
    let table = survivor().translator.export();
    assert_eq!(table.len(), Translator::ENTRY);
    let mut strange = table.clone();
    strange[1] = 99;
    let mut next = survivor().secondary();
    for bad in [&table[1..], &[0; 3], &strange, &table.repeat(9)] {
        assert_eq!(next.translator.import(bad), Err(BadTable));
    }
    assert_eq!(next.translator.translated(), 1);
}

#[test]
fn kept_connections_count_as_known() {
    let mut next = survivor().secondary();
    for port in 1..100 {
        next.translator.learn(NIC, flow(route(port)), 5);
        let mut frame = build::tcp(route(port), &syn_ack(9));
        next.translator.outgoing(NIC, &mut frame, next.now);
    }
    assert_eq!(next.translator.translated(), 8);
    next.translator.take_over();
    next.sends(&data(1001), &data(5001));
}

proptest! {
    /// Each failover has its connection, opened since the last checkpoint; all are followed to the end.
    #[test]
    fn clients_keep_their_numbers_through_any_number_of_failovers(
        numbers in prop::collection::vec((any::<u32>(), any::<u32>()), 1..8),
    ) {
        let mut world = World::new();
        for (port, (clients, own)) in (1..).zip(&numbers) {
            world.route = route(port);
            world.learn(*clients);
            world.sends(&syn_ack(*own), &syn_ack(*clients));
            world.translator.take_over();
            for (port, (clients, own)) in (1..=port).zip(&numbers) {
                let next = |isn: &u32| isn.wrapping_add(1);
                world.route = route(port);
                world.sends(&data(next(own)), &data(next(clients)));
                world.receives(&ack(next(clients)), &ack(next(own)));
            }
            world = world.secondary();
        }
    }

    #[test]
    fn arbitrary_tables_never_panic(table in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut world = World::open();
        let _ = world.translator.import(&table);
        world.translator.take_over();
        world.sends(&data(1001), &data(5001));
    }
}
