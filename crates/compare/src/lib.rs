//! The release rule for frames: *no byte leaves that the survivor could not explain.*
//!
//! Frames of the primary's machine (PVM) are held until the secondary's machine (SVM) has produced the same in the
//! same epoch, or until the secondary holds a checkpoint that came after them. Sans-I/O: frames and `now` in
//! (nanoseconds of CLOCK_BOOTTIME), frames and events out. See docs/architecture.md, `compare`.

mod assembly;
mod compare;
mod divergence;
mod epochs;
mod event;
mod flow;
mod fragments;
mod handshake;
mod held;
mod hold;
mod lag;
mod message;
mod mismatch;
mod offers;
mod openings;
mod outlet;
mod pair;
mod queue;
mod ring;
mod scatter;
mod spare;
mod stats;
mod stream;
mod table;
mod tcp;
pub mod translate;
mod urgent;

pub use compare::{Compare, Limits};
pub use divergence::{Divergence, Log};
pub use event::{Difference, Event};
pub use stats::Stats;
pub use translate::Translator;
