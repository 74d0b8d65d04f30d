//! The comparison as time passes: what waits too long, what differs for good, what is over.

use super::Compare;
use crate::event::Difference;
use crate::flow::Flow;
use crate::hold::Look;
use crate::mismatch::Mismatch;

/// Flows looked at per `on_time` for being over.
const SWEEP: usize = 32;

impl Compare {
    /// Looks at the clock: hold limits, messages that differ, flows that are over.
    pub fn on_time(&mut self, now: u64) {
        self.outlet.now = now;
        self.look_at_waits();
        self.look_at_debts();
        self.look_at_rests();
        while self
            .outlet
            .suspects
            .front()
            .is_some_and(|suspect| suspect.look_at <= now)
        {
            let Some(suspect) = self.outlet.suspects.pop_front() else {
                break;
            };
            if let Some(lane) = self.flows.lane(suspect.key, None, now) {
                lane.look_again(suspect.key, suspect.epoch, now, &mut self.outlet);
            }
        }
        self.check_openings(now);
        self.flows.sweep(now, SWEEP);
        self.settle();
    }

    /// What was forgotten does not wait any more.
    pub(super) const fn settle(&mut self) {
        self.outlet.pending -= self.flows.take_freed();
    }

    fn check_openings(&mut self, now: u64) {
        let Some((key, other)) = self.outlet.openings.differing(now) else {
            return;
        };
        self.outlet.openings.met(key);
        let oldest = self
            .flows
            .connection(key, None, now)
            .and_then(|connection| connection.oldest());
        let detail = format!(
            "the primary opens it from port {}, the secondary from port {}",
            key.flow.guest_port(),
            other.guest_port()
        );
        let mismatch = Mismatch::told(Difference::Ports, detail);
        self.outlet
            .diverged(key, self.outlet.epochs.current, oldest, mismatch);
    }

    fn look_at_waits(&mut self) {
        while let Some(slot) = self.outlet.due() {
            let Some((key, flow)) = self.flows.look_at(slot) else {
                continue;
            };
            let Look::Over { waited_ns } = flow.look(&mut self.outlet) else {
                continue;
            };
            self.outlet.tell_hold_limit(key, waited_ns);
            if let Some((since, mismatch)) = flow.missing() {
                let epoch = self.outlet.epochs.current;
                self.outlet.note(key, epoch, Some(since), mismatch);
            }
        }
    }

    fn look_at_debts(&mut self) {
        while let Some(slot) = self.outlet.due_debt() {
            if let Some((key, Flow::Tcp(connection))) = self.flows.look_at(slot) {
                connection.look_at_debt(key, &mut self.outlet);
            }
        }
    }

    fn look_at_rests(&mut self) {
        while let Some(slot) = self.outlet.holds.due_rest(self.outlet.now) {
            if let Some((key, Flow::Tcp(connection))) = self.flows.look_at(slot) {
                connection.look_at_rest(key, &mut self.outlet);
            }
        }
    }

    /// When [`Compare::on_time`] is next needed.
    #[must_use]
    pub fn next_deadline(&self) -> Option<u64> {
        let suspect = self.outlet.suspects.front().map(|suspect| suspect.look_at);
        let doubts = [suspect, self.outlet.openings.due()];
        let doubts = doubts.into_iter().flatten().min();
        [
            self.outlet.hold_deadline(),
            doubts.filter(|_| !self.outlet.has_told()),
            self.outlet.holds.next_rest(),
        ]
        .into_iter()
        .flatten()
        .min()
    }
}
