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
    looked: u64,
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
            looked: now,
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

    /// Time passed. What this side did not run, its host being frozen or overloaded, is not the peer's silence: calls
    /// come a heartbeat apart, so what is beyond two of them was such a pause.
    pub(crate) fn on_time(&mut self, now: u64) -> Option<Signal> {
        let since = now.saturating_sub(self.looked);
        let paused = since.saturating_sub(self.timing.beat.saturating_mul(2));
        self.looked = now;
        self.heard = self.heard.saturating_add(paused).min(now);
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
        let told: Vec<_> = (0..=500).filter_map(|now| watch.on_time(now)).collect();
        assert_eq!(told, [Signal::Silent(70)]);
        watch.heard(500);
        let told: Vec<_> = (501..=600).filter_map(|now| watch.on_time(now)).collect();
        assert_eq!(told, [Signal::Silent(70)]);
    }

    #[test]
    fn a_pause_of_this_side_is_not_the_peers_silence() {
        let mut watch = watch();
        assert_eq!(watch.on_time(20), None);
        assert_eq!(watch.on_time(500), None);
        for now in (510..530).step_by(10) {
            assert_eq!(watch.on_time(now), None);
        }
        assert_eq!(watch.on_time(530), Some(Signal::Silent(70)));
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
        let told: Vec<_> = (20..1000).filter_map(|now| watch.on_time(now)).collect();
        assert_eq!(told, [Signal::Silent(70)]);
    }
}
