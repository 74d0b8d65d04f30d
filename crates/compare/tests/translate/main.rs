//! A client must meet the primary's numbers, whichever copy answers.

mod life;
mod numbers;
mod world;
