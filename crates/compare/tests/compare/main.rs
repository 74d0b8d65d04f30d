//! The release rule, behaviour by behaviour.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests"
)]

mod acks;
mod divergence;
mod epochs;
mod fragments;
mod handshake;
mod hold;
mod limits;
mod message;
mod offload;
mod openings;
mod property;
mod property_windows;
mod stream;
mod urgent;
mod windows;
mod world;
