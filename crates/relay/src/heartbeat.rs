//! Is the peer there, and does its decision loop move? A pure machine over times in nanoseconds.

/// What the watch has to say. Each is said once until the condition has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// Nothing arrived for this long.
    Silent(u64),
    /// Heartbeats arrive, but the progress they carry has stood still for this long.
    Stalled(u64),
}

/// Times in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timing {
    pub(crate) beat: u64,
    pub(crate) silent_after: u64,
    pub(crate) stalled_after: u64,
}

#[derive(Debug)]
pub(crate) struct Watch {
    timing: Timing,
    next_beat: u64,
    heard: u64,
    silent_told: bool,
    progress: Option<u64>,
    moved: u64,
    stalled_told: bool,
}

impl Watch {
    pub(crate) fn new(timing: Timing, now: u64) -> Self {
        Self {
            timing,
            next_beat: now,
            heard: now,
            silent_told: false,
            progress: None,
            moved: now,
            stalled_told: false,
        }
    }

    /// Whether a heartbeat of ours is due; if so the next one is set.
    pub(crate) fn beat_is_due(&mut self, now: u64) -> bool {
        let due = now >= self.next_beat;
        if due {
            self.next_beat = now.saturating_add(self.timing.beat);
        }
        due
    }

    /// Something arrived.
    pub(crate) fn heard(&mut self, now: u64) {
        self.heard = now;
        self.silent_told = false;
    }

    /// A heartbeat arrived.
    pub(crate) fn heartbeat(&mut self, progress: u64, now: u64) -> Option<Signal> {
        if self.progress.replace(progress) != Some(progress) {
            self.moved = now;
            self.stalled_told = false;
            return None;
        }
        let still = now.saturating_sub(self.moved);
        let tell = still >= self.timing.stalled_after && !self.stalled_told;
        self.stalled_told |= tell;
        tell.then_some(Signal::Stalled(still))
    }

    /// Time passed.
    pub(crate) fn on_time(&mut self, now: u64) -> Option<Signal> {
        let silence = now.saturating_sub(self.heard);
        let tell = silence >= self.timing.silent_after && !self.silent_told;
        self.silent_told |= tell;
        tell.then_some(Signal::Silent(silence))
    }

    /// When to call [`Watch::beat_is_due`] and [`Watch::on_time`] again.
    pub(crate) fn next_deadline(&self) -> u64 {
        let silent = self.heard.saturating_add(self.timing.silent_after);
        if self.silent_told {
            self.next_beat
        } else {
            self.next_beat.min(silent)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch() -> Watch {
        Watch::new(
            Timing {
                beat: 10,
                silent_after: 70,
                stalled_after: 200,
            },
            0,
        )
    }

    #[test]
    fn beats_are_due_at_once_and_then_at_their_interval() {
        let mut watch = watch();
        assert!(watch.beat_is_due(0));
        assert!(!watch.beat_is_due(9));
        assert!(watch.beat_is_due(10));
        assert_eq!(watch.next_deadline(), 20);
    }

    #[test]
    fn silence_is_told_once_until_something_arrives() {
        let mut watch = watch();
        assert_eq!(watch.on_time(69), None);
        assert_eq!(watch.on_time(70), Some(Signal::Silent(70)));
        assert_eq!(watch.on_time(500), None);
        watch.heard(600);
        assert_eq!(watch.on_time(670), Some(Signal::Silent(70)));
    }

    #[test]
    fn a_beating_heart_does_not_hide_a_stalled_agent() {
        let mut watch = watch();
        assert_eq!(watch.heartbeat(1, 10), None);
        assert_eq!(watch.heartbeat(1, 209), None);
        assert_eq!(watch.heartbeat(1, 210), Some(Signal::Stalled(200)));
        assert_eq!(watch.heartbeat(1, 300), None);
        assert_eq!(watch.heartbeat(2, 310), None);
        assert_eq!(watch.heartbeat(2, 510), Some(Signal::Stalled(200)));
    }

    #[test]
    fn without_heartbeats_nothing_stalls() {
        let mut watch = watch();
        assert_eq!(watch.heartbeat(1, 10), None);
        assert_eq!(watch.on_time(1000), Some(Signal::Silent(1000)));
    }
}
