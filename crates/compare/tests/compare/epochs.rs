//! Cuts, commits and what the SVM says in between.

use colo_compare::{Difference, Event};
use colo_packet::build;
use colo_packet::flag;

use crate::world::{HOLD, ISN, MS, World, data, fin, limits, pure_ack, route, segment, syn_ack};

#[test]
fn a_commit_releases_what_was_sent_before_its_cut_in_the_order_it_came() {
    let mut world = World::new(limits());
    let udp = build::udp(route(), b"datagram");
    world.p(data(0, 100, b"one"));
    world.p(udp.clone());
    world.p(data(3, 100, b"two"));
    world.cut(1);
    world.p(data(6, 100, b"after"));
    assert!(world.released().is_empty());
    world.commit(1);
    assert_eq!(
        world.released(),
        [data(0, 100, b"one"), udp, data(3, 100, b"two")]
    );
    assert_eq!(world.compare.stats().released_commit, 3);
    assert_eq!(world.compare.stats().held_frames, 1);
}

#[test]
fn a_commit_without_a_cut_releases_nothing() {
    let mut world = World::connected();
    world.p(data(0, 100, b"x"));
    world.commit(1);
    assert!(world.released().is_empty());
}

#[test]
fn the_old_epoch_may_still_agree_until_it_is_committed() {
    let mut world = World::connected();
    world.p(data(0, 100, b"old"));
    world.cut(1);
    world.p(data(3, 100, b"new"));
    world.s(&data(0, 100, b"oldnew"));
    assert_eq!(world.payloads(), [b"old"], "not what the SVM said beyond the cut");
    world.commit(1);
    world.s(&data(3, 100, b"new"));
    assert!(world.released().is_empty());
    assert_eq!(world.compare.stats().late_secondary, 1);
    world.load(1);
    world.s(&data(3, 100, b"new"));
    assert_eq!(world.payloads(), [b"new"]);
}

#[test]
fn what_the_secondary_said_ahead_of_the_cut_does_not_count_after_it() {
    let mut world = World::connected();
    world.s(&data(0, 100, b"ahead"));
    world.cut(1);
    world.commit(1);
    world.load(1);
    world.p(data(0, 100, b"ahead"));
    assert!(world.released().is_empty());
    world.s(&data(0, 100, b"ahead"));
    assert_eq!(world.payloads(), [b"ahead"]);
}

#[test]
fn agreement_in_the_new_epoch_waits_for_the_commit_of_the_old() {
    let mut world = World::connected();
    world.p(data(0, 100, b"old"));
    world.cut(1);
    world.p(data(3, 100, b"new"));
    world.label = 2;
    world.s(&data(3, 100, b"new"));
    assert!(world.released().is_empty());
    world.commit(1);
    assert_eq!(world.payloads(), [b"old", b"new"]);
}

#[test]
fn an_epoch_the_primary_has_not_begun_is_ignored() {
    let mut world = World::connected();
    world.label = 2;
    world.s(&data(0, 100, b"x"));
    world.p(data(0, 100, b"x"));
    assert!(world.released().is_empty());
    assert_eq!(world.compare.stats().early_secondary, 1);
}

#[test]
fn after_a_cut_both_start_at_the_primary_s_position() {
    let mut world = World::in_epoch_2();
    world.p(data(4, 100, b"tail"));
    world.s(&data(4, 100, b"tail"));
    assert_eq!(world.payloads(), [b"tail"]);
}

#[test]
fn after_a_commit_retransmissions_go_and_the_cut_s_acknowledgement_counts() {
    let mut world = World::connected();
    world.p(data(0, 200, b"head"));
    world.cut(1);
    world.p(data(0, 300, b"head"));
    world.p(pure_ack(4, 200));
    world.commit(1);
    assert_eq!(world.acks(), [200, 200, 200]);
}

#[test]
fn bytes_sent_between_cut_and_load_are_compared_when_the_secondary_comes() {
    let mut world = World::connected();
    world.p(data(0, 100, b"old!"));
    world.s(&data(0, 100, b"OLD!"));
    assert_eq!(world.divergence().0, Difference::Stream);
    world.cut(1);
    world.p(data(4, 100, b"fresh"));
    world.commit(1);
    world.load(1);
    world.s(&data(4, 100, b"fresh"));
    assert_eq!(world.payloads(), [&b"old!"[..], b"fresh"]);
}

#[test]
fn a_difference_in_an_epoch_that_is_over_asks_for_nothing_and_hurts_nothing() {
    let mut world = World::connected();
    world.p(data(0, 100, b"old!"));
    world.cut(1);
    world.p(data(4, 100, b"fresh"));
    world.s(&data(0, 100, b"OLD!"));
    assert_eq!(world.event(), None);
    assert_eq!(world.compare.stats().divergences, 1);
    world.commit(1);
    world.load(1);
    world.s(&data(4, 100, b"fresh"));
    assert_eq!(world.payloads(), [&b"old!"[..], b"fresh"]);
}

#[test]
fn the_next_epoch_may_report_again() {
    let mut world = World::connected();
    for checkpoint in 1..4 {
        world.p(data(checkpoint as u32 - 1, 100, b"p"));
        world.s(&data(checkpoint as u32 - 1, 100, b"s"));
        world.divergence();
        world.cut(checkpoint);
        world.commit(checkpoint);
        world.load(checkpoint);
    }
}

#[test]
fn a_fin_before_the_cut_is_the_secondary_s_too() {
    let mut world = World::connected();
    world.p(fin(0, b"bye"));
    world.cut(1);
    world.commit(1);
    world.load(1);
    assert_eq!(world.payloads(), [b"bye"]);
    world.s(&fin(0, b"bye"));
    world.p(fin(0, b"bye"));
    assert_eq!(world.payloads(), [b"bye"]);
    assert_eq!(world.event(), None);
}

#[test]
fn a_syn_from_before_the_cut_needs_no_other() {
    let mut world = World::new(limits());
    world.p(syn_ack(ISN, 100));
    world.event();
    world.cut(1);
    world.p(syn_ack(ISN, 100));
    world.p(data(0, 100, b"x"));
    world.commit(1);
    assert_eq!(world.released().len(), 2);
    world.load(1);
    world.s(&data(0, 100, b"x"));
    assert_eq!(world.payloads(), [b"x"]);
}

#[test]
fn a_reset_counts_in_its_own_epoch_only() {
    let reset = segment(flag::RST, 0, 77, &[]);
    let mut world = World::new(limits());
    world.p(reset.clone());
    world.s(&reset);
    world.cut(1);
    world.commit(1);
    world.load(1);
    world.released();
    world.p(reset.clone());
    assert!(world.released().is_empty());
    world.s(&reset);
    assert_eq!(world.released().len(), 1);
}

#[test]
fn an_idle_connection_keeps_its_position_through_epochs() {
    let mut world = World::connected();
    world.p(data(0, 100, b"x"));
    for checkpoint in 1..5 {
        world.cut(checkpoint);
        world.commit(checkpoint);
        world.load(checkpoint);
    }
    world.released();
    world.s(&data(1, 100, b"y"));
    world.p(data(1, 100, b"y"));
    assert_eq!(world.payloads(), [b"y"]);
}

#[test]
fn two_cuts_without_a_commit_leave_only_commits() {
    let mut world = World::connected();
    world.p(data(0, 100, b"a"));
    world.cut(1);
    world.p(data(1, 100, b"b"));
    world.cut(2);
    world.p(data(2, 100, b"c"));
    world.label = 2;
    world.s(&data(1, 100, b"b"));
    world.commit(1);
    world.commit(2);
    world.load(2);
    world.s(&data(2, 100, b"c"));
    assert_eq!(world.payloads(), [b"a", b"b", b"c"]);
}

#[test]
fn the_hold_limit_counts_from_the_load_at_the_earliest() {
    let mut world = World::connected();
    world.cut(1);
    world.p(data(0, 100, b"x"));
    assert_eq!(world.compare.next_deadline(), None);
    world.after(10 * HOLD);
    assert_eq!(world.event(), None);
    world.commit(1);
    world.load(1);
    world.after(HOLD - 1);
    assert_eq!(world.event(), None);
    world.after(1);
    assert!(matches!(
        world.event(),
        Some(colo_compare::Event::HoldLimit { waited_ns: HOLD, .. })
    ));
    assert_eq!(world.compare.next_deadline(), None);
    world.after(MS);
    assert_eq!(world.event(), None, "told once per epoch");
}

#[test]
fn alone_everything_goes_in_order_and_a_cut_ends_it() {
    let mut world = World::connected();
    world.p(data(0, 100, b"a"));
    world.p(build::udp(route(), b"u"));
    world.cut(1);
    world.p(data(1, 100, b"b"));
    world.compare.alone(world.now);
    assert_eq!(
        world.released(),
        [data(0, 100, b"a"), build::udp(route(), b"u"), data(1, 100, b"b")]
    );
    world.p(data(2, 100, b"c"));
    assert_eq!(world.payloads(), [b"c"]);
    assert_eq!(
        (world.compare.stats().held_bytes, world.compare.stats().flows),
        (0, 0)
    );
    world.cut(2);
    world.p(data(3, 100, b"d"));
    assert!(world.released().is_empty());
}

#[test]
fn with_nothing_held_of_the_old_epoch_the_new_one_waits_for_its_commit_all_the_same() {
    let mut world = World::connected();
    world.cut(1);
    world.p(data(0, 100, b"new"));
    world.label = 2;
    world.s(&data(0, 100, b"new"));
    assert!(world.released().is_empty());
    world.commit(1);
    assert_eq!(world.payloads(), [b"new"]);
}

#[test]
fn after_a_difference_any_number_of_segments_sent_before_the_load_is_compared() {
    let mut world = World::connected();
    world.p(data(0, 100, b"p"));
    world.s(&data(0, 100, b"s"));
    world.cut(1);
    for offset in 1..=500 {
        world.p(data(offset, 100, b"x"));
    }
    world.commit(1);
    world.load(1);
    world.released();
    world.s(&data(1, 100, &[b'x'; 500]));
    assert_eq!(world.released().len(), 500);
}

#[test]
fn what_the_secondary_acknowledged_before_a_load_it_has_not_after_it() {
    let mut world = World::connected();
    world.s(&pure_ack(0, 500));
    world.cut(1);
    world.commit(1);
    world.load(1);
    world.p(pure_ack(0, 500));
    assert!(world.released().is_empty());
    world.s(&pure_ack(0, 500));
    assert_eq!(world.acks(), [500]);
}

#[test]
fn an_acknowledgement_of_a_newer_epoch_does_not_replace_one_the_commit_will_release() {
    let mut world = World::new(limits());
    world.p(pure_ack(0, 200));
    world.cut(1);
    world.p(pure_ack(0, 300));
    world.commit(1);
    assert_eq!(world.acks(), [200]);
}

#[test]
fn a_syn_of_the_secondary_from_an_old_epoch_answers_for_nothing_new() {
    let mut world = World::new(limits());
    world.s(&syn_ack(5, 100));
    world.cut(1);
    world.commit(1);
    world.load(1);
    world.p(syn_ack(ISN, 100));
    assert!(world.released().is_empty());
    world.s(&syn_ack(5, 100));
    assert_eq!(world.released().len(), 1);
}

#[test]
fn after_a_commit_a_connection_found_in_mid_stream_has_nothing_unknown() {
    let mut world = World::new(limits());
    world.p(data(10, 100, b"kl"));
    world.cut(1);
    world.commit(1);
    world.load(1);
    world.released();
    world.p(data(8, 100, b"ijkl"));
    assert_eq!(world.payloads(), [b"ijkl"]);
}

#[test]
fn an_svm_that_was_silent_for_epochs_agrees_from_the_one_it_wakes_in_and_nobody_missed_it() {
    let mut world = World::in_epoch_2();
    for checkpoint in 2..6 {
        let offset = 4 * (checkpoint as u32 - 1);
        world.p(data(offset, 100, b"rest"));
        world.p(pure_ack(offset + 4, 200));
        world.after(2 * HOLD);
        assert!(world.released().is_empty() || checkpoint == 2);
        world.cut(checkpoint);
        world.commit(checkpoint);
        assert!(world.payloads().contains(&b"rest".to_vec()));
        if checkpoint == 2 {
            // Only now is the SVM known to rest: in epoch 2 it was still waited for.
            assert!(matches!(world.event(), Some(Event::HoldLimit { .. })));
        }
        assert!(world.event().is_none());
    }
    world.p(data(20, 200, b"head"));
    world.load(5);
    world.s(&data(20, 200, b"head"));
    world.p(data(24, 200, b"tail"));
    assert_eq!(world.payloads(), [b"head"]);
    world.s(&data(24, 200, b"tail"));
    assert_eq!(world.payloads(), [b"tail"]);
}
