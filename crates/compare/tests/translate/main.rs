//! A client must meet the primary's numbers, whichever copy answers.
#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "tests")]

mod fragments;
mod handover;
mod life;
mod numbers;
mod world;
