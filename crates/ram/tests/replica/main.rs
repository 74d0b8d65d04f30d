//! A primary's RAM and the replica that follows it, through the payloads of the link, whole and damaged.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking; clippy knows only functions marked as tests"
)]

mod property;
mod refused;
mod sequence;
mod world;
