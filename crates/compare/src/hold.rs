//! Frames that wait, and for how long they may: see docs/hold-limit.md.
//!
//! A flow whose frames wait is looked at when the limit has passed, not with each frame: it is *silent* when neither
//! a frame of it came nor its agreement moved within the limit. What has moved is late, and looked at again.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::epochs::Epochs;
use crate::held::Held;
use crate::lag::Lag;
use crate::table::Slot;

/// A connection on which nothing has moved for so long, in nanoseconds, rests.
const REST: u64 = 1_000_000;

/// What a flow knows of its own waits.
#[derive(Debug)]
pub(crate) struct Patience {
    slot: Slot,
    /// Somebody will look.
    armed: bool,
    /// Somebody will look whether it rests.
    resting: bool,
    /// When the SVM last brought its agreement forward.
    moved: u64,
}

impl Patience {
    pub(crate) const fn new(slot: Slot) -> Self {
        Self {
            slot,
            armed: false,
            resting: false,
            moved: 0,
        }
    }

    /// Nobody will look whether it rests any more.
    pub(crate) fn looked_at_rest(&mut self) {
        self.resting = false;
    }

    /// The SVM has said something that the PVM has said before.
    pub(crate) fn moved(&mut self, now: u64) {
        self.moved = now;
    }
}

/// What became of a look at a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// Nothing waits.
    Idle,
    /// To be looked at again.
    Again,
    /// A frame has waited so many nanoseconds.
    Over { waited_ns: u64 },
}

/// When to look at which flow.
#[derive(Debug)]
pub(crate) struct HoldClock {
    /// Of an SVM that has come from a checkpoint and not caught up yet, and of one that has.
    behind: Lag,
    abreast: Lag,
    is_behind: bool,
    ceiling: u64,
    /// A slot that another flow has by then is looked at for nothing.
    looks: BinaryHeap<Reverse<(u64, Slot)>>,
    /// Connections whose clients wait for an acknowledgement, each once.
    debts: BinaryHeap<Reverse<(u64, Slot)>>,
    /// Connections that may have come to rest in the middle of a segment, each once.
    rests: BinaryHeap<Reverse<(u64, Slot)>>,
}

impl HoldClock {
    /// No frame waits longer than `ceiling` nanoseconds without being told.
    pub(crate) fn new(ceiling: u64) -> Self {
        Self {
            behind: Lag::new(ceiling),
            abreast: Lag::new(ceiling),
            is_behind: true,
            ceiling,
            looks: BinaryHeap::new(),
            debts: BinaryHeap::new(),
            rests: BinaryHeap::new(),
        }
    }

    /// A frame of this flow begins to wait.
    pub(crate) fn start(&mut self, held: &mut Held, patience: &mut Patience, now: u64) {
        held.since = Some(now);
        if !patience.armed {
            patience.armed = true;
            self.look_at(patience.slot, now.saturating_add(self.limit()));
        }
    }

    /// A frame has found its twin. What the SVM says before it is known to run the frame's epoch tells the time of a
    /// checkpoint, not how far it lags.
    pub(crate) fn agreed(&mut self, held: &Held, epochs: &Epochs, now: u64) {
        if let Some(since) = held.since.filter(|_| held.epoch == epochs.running) {
            let waited = now.saturating_sub(since.max(epochs.running_since));
            self.lag_mut().agreed(waited, now);
        }
    }

    /// The SVM runs, from a state that is a while old.
    pub(crate) fn loaded(&mut self) {
        self.is_behind = true;
    }

    /// The SVM has said the last that was waited for.
    pub(crate) fn caught_up(&mut self) {
        self.is_behind = false;
    }

    const fn lag(&self) -> &Lag {
        if self.is_behind {
            &self.behind
        } else {
            &self.abreast
        }
    }

    const fn lag_mut(&mut self) -> &mut Lag {
        if self.is_behind {
            &mut self.behind
        } else {
            &mut self.abreast
        }
    }

    /// When the next flow has to be looked at, for either reason.
    pub(crate) fn next(&self) -> Option<u64> {
        let [looks, debts] = [&self.looks, &self.debts].map(first);
        looks.into_iter().chain(debts).min()
    }

    /// Takes out a flow that has to be looked at.
    pub(crate) fn due(&mut self, now: u64) -> Option<Slot> {
        first(&self.looks).filter(|at| *at <= now)?;
        self.looks.pop().map(|Reverse((_, slot))| slot)
    }

    /// Takes out a connection whose client may have waited for too long.
    pub(crate) fn due_debt(&mut self, now: u64) -> Option<Slot> {
        first(&self.debts).filter(|at| *at <= now)?;
        self.debts.pop().map(|Reverse((_, slot))| slot)
    }

    /// A client begins to wait.
    pub(crate) fn watch_debt(&mut self, patience: &Patience, now: u64) {
        self.watch_debt_of(patience, now, now);
    }

    /// A client waits `since`: to be looked at again when that is too long. `true`: it is already.
    pub(crate) fn watch_debt_of(&mut self, patience: &Patience, since: u64, now: u64) -> bool {
        let at = since.saturating_add(self.ceiling);
        let over = at <= now;
        let next = if over {
            now.saturating_add(self.ceiling)
        } else {
            at
        };
        self.debts.push(Reverse((next, patience.slot)));
        over
    }

    /// When the next connection that may rest has to be looked at.
    pub(crate) fn next_rest(&self) -> Option<u64> {
        first(&self.rests)
    }

    /// Takes out a connection that may have come to rest.
    pub(crate) fn due_rest(&mut self, now: u64) -> Option<Slot> {
        first(&self.rests).filter(|at| *at <= now)?;
        self.rests.pop().map(|Reverse((_, slot))| slot)
    }

    /// A connection may come to rest: it does if nothing moves until [`REST`] from `since`.
    pub(crate) fn watch_rest(&mut self, patience: &mut Patience, since: u64) {
        if !std::mem::replace(&mut patience.resting, true) {
            self.rests
                .push(Reverse((since.saturating_add(REST), patience.slot)));
        }
    }

    /// Looks at a connection that was due and still may. `true`: it rests; otherwise it is looked at again.
    pub(crate) fn rests(&mut self, patience: &mut Patience, now: u64) -> bool {
        let rests = patience.moved.saturating_add(REST) <= now;
        if !rests {
            self.watch_rest(patience, patience.moved);
        }
        rests
    }

    /// Looks at a flow that was due; `since`: its oldest frame with a limit waits in the epoch that both run.
    pub(crate) fn look(&mut self, since: Option<u64>, patience: &mut Patience, now: u64) -> Look {
        let Some(since) = since else {
            patience.armed = false;
            return Look::Idle;
        };
        let silent = since.max(patience.moved).saturating_add(self.limit());
        let at = silent.min(since.saturating_add(self.ceiling));
        if now < at {
            self.look_at(patience.slot, at);
            return Look::Again;
        }
        self.look_at(patience.slot, now.saturating_add(self.limit()));
        let waited_ns = now.saturating_sub(since);
        self.lag_mut().late(waited_ns);
        Look::Over { waited_ns }
    }

    /// How long a flow may be silent now.
    pub(crate) fn limit(&self) -> u64 {
        self.lag().limit().min(self.ceiling)
    }

    /// See [`Lag::seen_p99`]; 0 while nothing has agreed.
    pub(crate) fn lag_p99(&self) -> u64 {
        self.lag().seen_p99().unwrap_or(0)
    }

    /// Nothing waits any more.
    pub(crate) fn clear(&mut self) {
        self.looks.clear();
        self.debts.clear();
        self.rests.clear();
    }

    fn look_at(&mut self, slot: Slot, at: u64) {
        self.looks.push(Reverse((at, slot)));
    }
}

fn first(looks: &BinaryHeap<Reverse<(u64, Slot)>>) -> Option<u64> {
    looks.peek().map(|Reverse((at, _))| *at)
}
