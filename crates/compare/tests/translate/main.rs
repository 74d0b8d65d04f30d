//! A client must meet the primary's numbers, whichever copy answers.

mod handover;
mod life;
mod numbers;
mod world;
