//! Every tracker that works here, against another process that really writes.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking; clippy knows only functions marked as tests"
)]

mod common;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use colo_ram::{Error, GuestRam, PAGE, PageSet, Staging, Tracker, TrackerKind, open_tracker, probe_trackers};
use common::{Follower, Writer, ram_file};
use rustix::fs::{FallocateFlags, fallocate};

const PAGES: u64 = 3000;

/// Runs a test with each usable tracker on a fresh writer.
fn with_each(test: impl Fn(&mut Writer, &mut dyn Tracker, TrackerKind)) {
    for probe in probe_trackers() {
        if !probe.usable {
            eprintln!("left out: {}: {}", probe.kind.name(), probe.why);
            continue;
        }
        let mut writer = Writer::start(PAGES);
        let (pid, uffd) = (writer.pid(), writer.uffd());
        let mut tracker = open_tracker(probe.kind, pid, &writer.ram, uffd).unwrap();
        test(&mut writer, &mut *tracker, probe.kind);
    }
}

fn members(set: &PageSet) -> BTreeSet<u64> {
    set.runs().flatten().collect()
}

#[test]
fn single_writes_are_seen_exactly_and_once() {
    with_each(|writer, tracker, kind| {
        assert!(tracker.collect(true).unwrap().is_empty(), "{kind:?}");
        for written in [vec![0], vec![PAGES - 1], vec![5, 6, 7, 600, 1024, 2999]] {
            for page in &written {
                writer.run(&format!("write({page}, random.randrange(2, 256))"));
            }
            assert_eq!(
                members(&tracker.collect(true).unwrap()),
                written.into_iter().collect(),
                "{kind:?}"
            );
            assert!(tracker.collect(true).unwrap().is_empty(), "{kind:?}");
        }
    });
}

/// The same with memory that nobody has touched before.
fn with_each_untouched(pages: u64, test: impl Fn(&mut Writer, &mut dyn Tracker, TrackerKind)) {
    for probe in probe_trackers() {
        if !probe.usable {
            eprintln!("left out: {}: {}", probe.kind.name(), probe.why);
            continue;
        }
        let mut writer = Writer::start_untouched(pages);
        let (pid, uffd) = (writer.pid(), writer.uffd());
        let mut tracker = open_tracker(probe.kind, pid, &writer.ram, uffd).unwrap();
        test(&mut writer, &mut *tracker, probe.kind);
    }
}

#[test]
fn the_first_write_to_a_page_is_seen_and_what_was_never_written_is_not_touched() {
    with_each_untouched(8 * PAGES, |writer, tracker, kind| {
        let mut used = BTreeSet::new();
        for written in [
            vec![],
            vec![5],
            vec![6, 7, 600],
            vec![5, 8 * PAGES - 1],
            vec![601, 9000],
        ] {
            for page in &written {
                writer.run(&format!("write({page}, random.randrange(2, 256))"));
            }
            used.extend(written.iter().copied());
            assert_eq!(tracker.count().unwrap(), written.len() as u64, "{kind:?}");
            let found = members(&tracker.collect(true).unwrap());
            assert_eq!(found, written.into_iter().collect(), "{kind:?}");
            assert_eq!(members(&writer.ram.used().unwrap()), used, "{kind:?}");
        }
    });
}

#[test]
fn what_is_read_for_the_first_time_is_no_reason_to_lose_what_is_written() {
    with_each_untouched(2 * PAGES, |writer, tracker, kind| {
        writer.run("[ram[page * P] for page in range(0, pages, 3)] and 0");
        tracker.collect(true).unwrap();
        for page in [3, 4, 2 * PAGES - 1] {
            writer.run(&format!("write({page}, random.randrange(2, 256))"));
        }
        let found = members(&tracker.collect(true).unwrap());
        assert!(
            found.is_superset(&[3, 4, 2 * PAGES - 1].into()),
            "{kind:?}: {found:?}"
        );
    });
}

#[test]
fn a_copy_that_follows_first_writes_is_exact() {
    with_each_untouched(20 * PAGES, |writer, tracker, kind| {
        let mut follower = Follower::new(&writer.ram);
        writer.run("start()");
        let end = Instant::now() + Duration::from_millis(1500);
        while Instant::now() < end {
            tracker.count().unwrap();
            let dirty = tracker.collect(false).unwrap();
            follower.follow(&writer.ram, &dirty);
        }
        writer.run("stop()");
        follower.follow(&writer.ram, &tracker.collect(true).unwrap());
        assert!(
            writer.ram.used().unwrap().len() > 1000,
            "{kind:?}: nothing was tried"
        );
        assert_eq!(
            follower.differing(&writer.ram),
            Vec::<u64>::new(),
            "{kind:?} missed pages"
        );
    });
}

#[test]
fn memory_that_was_never_touched_gets_no_page_tables() {
    let mut writer = Writer::start_untouched(512 * 512);
    let Some(uffd) = writer.uffd() else { return };
    let before = writer.page_tables();
    let mut tracker = open_tracker(TrackerKind::PagemapScan, writer.pid(), &writer.ram, Some(uffd)).unwrap();
    writer.run("write(100_000, 9)");
    for _ in 0..3 {
        tracker.count().unwrap();
        tracker.collect(true).unwrap();
    }
    let more = writer.page_tables() - before;
    // All of it would take 2 MiB; the program itself takes some, too.
    assert!(more < 256, "{more} KiB of page tables for one page");
}

#[test]
fn what_is_written_from_here_where_nobody_was_before_is_reported_once() {
    let mut writer = Writer::start_untouched(4096);
    let Some(uffd) = writer.uffd() else { return };
    let mut tracker = open_tracker(TrackerKind::PagemapScan, writer.pid(), &writer.ram, Some(uffd)).unwrap();
    writer.ram.write_page(3000, &[5; PAGE]).unwrap();
    assert_eq!(members(&tracker.collect(true).unwrap()), [3000].into());
    assert!(tracker.collect(true).unwrap().is_empty());
    writer.run("write(3001, 9)");
    assert_eq!(members(&tracker.collect(true).unwrap()), [3001].into());
}

#[test]
fn a_copy_that_follows_the_tracker_is_exact_after_concurrent_writes() {
    with_each(|writer, tracker, kind| {
        let mut follower = Follower::new(&writer.ram);
        for _ in 0..3 {
            writer.run("start()");
            let end = Instant::now() + Duration::from_millis(500);
            let (mut rounds, mut pages) = (0, 0);
            while Instant::now() < end {
                let dirty = tracker.collect(false).unwrap();
                follower.follow(&writer.ram, &dirty);
                (rounds, pages) = (rounds + 1, pages + dirty.len());
            }
            writer.run("stop()");
            assert!(rounds > 1 && pages > 0, "{kind:?}: nothing was tried");
            follower.follow(&writer.ram, &tracker.collect(true).unwrap());
            assert_eq!(
                follower.differing(&writer.ram),
                Vec::<u64>::new(),
                "{kind:?} missed pages"
            );
        }
    });
}

#[test]
fn counting_what_was_written_takes_nothing_from_the_next_collection() {
    with_each(|writer, tracker, kind| {
        assert_eq!(tracker.count().unwrap(), 0, "{kind:?}");
        for page in [0, 5, 6, 2999] {
            writer.run(&format!("write({page}, random.randrange(2, 256))"));
        }
        assert_eq!(tracker.count().unwrap(), 4, "{kind:?}");
        assert_eq!(tracker.count().unwrap(), 4, "{kind:?}");
        assert_eq!(
            members(&tracker.collect(true).unwrap()),
            [0, 5, 6, 2999].into(),
            "{kind:?}"
        );
        assert_eq!(tracker.count().unwrap(), 0, "{kind:?}");
    });
}

#[test]
fn staged_pages_are_those_of_the_stopped_vm() {
    with_each(|writer, tracker, kind| {
        let mut staging = Staging::new(&writer.ram, PAGES * PAGE as u64).unwrap();
        writer.run("scatter(7, 900)");
        let dirty = tracker.collect(true).unwrap();
        assert_eq!(
            staging.gather(&dirty).unwrap(),
            dirty.len() * PAGE as u64,
            "{kind:?}"
        );
    });
}

#[test]
fn writing_ram_from_here_is_not_a_write_of_the_vm() {
    let mut writer = Writer::start(64);
    let Some(uffd) = writer.uffd() else { return };
    let mut tracker = open_tracker(TrackerKind::PagemapScan, writer.pid(), &writer.ram, Some(uffd)).unwrap();
    writer.ram.write_page(9, &[5; PAGE]).unwrap();
    assert!(tracker.collect(false).unwrap().is_empty());
}

#[test]
fn a_second_mapping_of_the_ram_in_the_process_is_tracked_as_well() {
    let mut writer = Writer::start(64);
    writer.run("globals().update(alias=mmap.mmap(fd, 8 * P, offset=16 * P))");
    let Some(uffd) = writer.uffd() else { return };
    let mut tracker = open_tracker(TrackerKind::PagemapScan, writer.pid(), &writer.ram, Some(uffd)).unwrap();
    writer.run("alias.__setitem__(2 * P, 77)");
    assert_eq!(members(&tracker.collect(false).unwrap()), [18].into());
}

#[test]
fn the_end_of_the_process_is_an_error_and_not_a_quiet_guest() {
    for probe in probe_trackers() {
        if !probe.usable || probe.kind == TrackerKind::Compare {
            continue;
        }
        let mut writer = Writer::start(64);
        let (pid, uffd, ram) = (writer.pid(), writer.uffd(), writer.ram.clone());
        let mut tracker = open_tracker(probe.kind, pid, &ram, uffd).unwrap();
        drop(writer);
        let lost = tracker.collect(false);
        assert!(matches!(lost, Err(Error::TrackingLost(_))), "{lost:?}");
    }
}

#[test]
fn ram_that_is_mapped_anew_is_an_error() {
    let mut writer = Writer::start(64);
    let Some(uffd) = writer.uffd() else { return };
    let mut tracker = open_tracker(TrackerKind::PagemapScan, writer.pid(), &writer.ram, Some(uffd)).unwrap();
    writer.run("globals().update(again=mmap.mmap(fd, 0))");
    let lost = tracker.collect(false);
    assert!(matches!(lost, Err(Error::TrackingLost(_))), "{lost:?}");
}

#[test]
fn a_userfaultfd_of_another_process_is_refused() {
    let (mut one, mut other) = (Writer::start(64), Writer::start(64));
    let Some(uffd) = other.uffd() else { return };
    assert!(open_tracker(TrackerKind::PagemapScan, one.pid(), &one.ram, Some(uffd)).is_err());
    assert_eq!(one.run("write(3, 9)"), "3");
}

#[test]
fn a_wrapper_that_runs_the_program_in_its_place_is_named_as_the_cause() {
    let mut writer = Writer::start_wrapped(64);
    let Some(uffd) = writer.uffd() else { return };
    let refused = open_tracker(TrackerKind::PagemapScan, writer.pid(), &writer.ram, Some(uffd));
    assert!(refused.err().unwrap().to_string().contains("wrapper"));
}

#[test]
fn a_tracker_can_be_opened_again_with_the_same_userfaultfd() {
    let mut writer = Writer::start(64);
    let Some(uffd) = writer.uffd() else { return };
    for page in [4, 5] {
        let again = Some(uffd.try_clone().unwrap());
        let mut tracker = open_tracker(TrackerKind::PagemapScan, writer.pid(), &writer.ram, again).unwrap();
        writer.run(&format!("write({page}, 200)"));
        assert_eq!(members(&tracker.collect(false).unwrap()), [page].into());
        writer.run("write(60, 201)");
    }
}

#[test]
fn ram_that_the_process_does_not_map_is_refused() {
    let writer = Writer::start(64);
    let (_path, file) = ram_file(64);
    let ram = GuestRam::new(std::os::fd::AsFd::as_fd(&file), 64 * PAGE as u64).unwrap();
    for kind in [TrackerKind::PagemapScan, TrackerKind::SoftDirty] {
        let handed = std::os::fd::OwnedFd::from(file.try_clone().unwrap());
        assert!(open_tracker(kind, writer.pid(), &ram, Some(handed)).is_err());
    }
}

#[test]
fn a_hole_punched_by_the_process_shows_in_the_blocks() {
    let mut writer = Writer::start(64);
    let before = writer.ram.blocks().unwrap();
    let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    fallocate(&writer.file, hole, 8 * PAGE as u64, 4 * PAGE as u64).unwrap();
    assert_eq!(writer.ram.blocks().unwrap(), before - 4 * 8);
    writer.run("write(8, 1)");
    assert_eq!(writer.ram.blocks().unwrap(), before - 3 * 8);
}
