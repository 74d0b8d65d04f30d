//! The vectors of `tests/vectors`: see the README there for what they are and how they are written.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests"
)]

mod frame;
mod notation;
mod play;
mod spec;

use std::fs;
use std::path::{Path, PathBuf};

use notation::Vector;

/// The vectors in a folder, by name.
fn vectors(folder: &str) -> Vec<(String, Vector)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors");
    let Ok(entries) = fs::read_dir(root.join(folder)) else {
        return Vec::new();
    };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "vec"));
    paths.sort();
    let read = |path: PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let vector = notation::parse(&fs::read_to_string(&path).unwrap());
        (name.clone(), vector.unwrap_or_else(|why| panic!("{name}: {why}")))
    };
    paths.into_iter().map(read).collect()
}

#[test]
fn what_comes_out_is_what_the_vectors_say() {
    let vectors = vectors("");
    assert!(vectors.len() > 60, "only {} vectors found", vectors.len());
    let failures: Vec<String> = vectors
        .iter()
        .filter_map(|(name, vector)| Some(format!("{name}, {}", play::failure(vector)?)))
        .collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn a_vector_that_passes_is_not_planned_any_more() {
    for (name, vector) in vectors("planned") {
        assert!(
            play::failure(&vector).is_some(),
            "{name} passes now: move it one folder up"
        );
    }
}

#[test]
fn a_vector_that_is_wrong_fails() {
    for wrong in [
        "p 0 udp 53>5353 \"a\"\n> udp 53>5353 \"a\"",
        "p 0 arp 10.0.0.2>10.0.0.9",
        "p 0 a: arp 10.0.0.2>10.0.0.9\n> a pad=60",
        "p 0 a: arp 10.0.0.2>10.0.0.9 nic=1\n> a nic=0",
        "p 0 udp 53>5353 \"a\"\n= held 2",
        "p 0 udp 53>5353 \"a\"\n= full",
        "p 0 tcp 80>40001 SA seq=7\n! isn 8",
        "p 0 tcp 80>40001 SA seq=7",
    ] {
        let vector = notation::parse(wrong).unwrap();
        assert!(play::failure(&vector).is_some(), "{wrong}");
    }
}

#[test]
fn what_is_no_vector_is_refused() {
    for text in [
        "q 0.000 1",
        "p 0.000",
        "p 0.0000000001 arp 10.0.0.2>10.0.0.9",
        "time 1\ntime 0",
        "p 0 udp 53>somebody",
        "p 0 udp 53>5353 hello",
        "p 0 quic 53>5353",
        "p 0 udp 53>5353 0xabc",
        "> arp 10.0.0.2>10.0.0.9",
        "time 1\n! thunder",
        "for n 1 2\ntime {n}",
        "limits speed=9",
        "time 1\nlimits hold=9",
    ] {
        assert!(notation::parse(text).is_err(), "{text}");
    }
}
