//! The engine's side of the link: its beginning and end, and where each message goes.

use crate::command::Bulk;
use crate::engine::{Engine, Role};
use crate::error::Error;
use crate::event::Event;
use crate::link::Link;
use colo_link::{Message, Progress, Session};
use std::os::fd::OwnedFd;

/// Why a peer's message ends the link.
pub(crate) type Offence = &'static str;

impl Engine {
    pub(crate) fn attach_link(&mut self, fd: OwnedFd, session: Session, peer: String) {
        if let Some(old) = self.link.take() {
            old.close();
        }
        self.link = Some(Link::new(fd, session, peer, self.config.timing(), self.now));
    }

    pub(crate) fn detach_link(&mut self) {
        if let Some(link) = self.link.take() {
            link.close();
        }
    }

    pub(crate) fn send_control(&mut self, payload: &[u8]) {
        if let Some(link) = &mut self.link {
            link.push(&Message::Control(payload));
        }
    }

    /// Until the link ends, or the next is waited for.
    pub(crate) fn commit_when(&mut self, checkpoint: u64, payload: Vec<u8>) {
        if let Some(link) = &mut self.link {
            link.commit_when = Some((payload, checkpoint));
        }
    }

    pub(crate) fn send_bulk(&mut self, bulk: Bulk) -> Result<(), Error> {
        let link = self.link_that_is_up()?;
        if link.push_bulk(bulk) {
            Ok(())
        } else {
            Err(Error::Refused("too many bulk transfers wait"))
        }
    }

    pub(crate) fn link_that_is_up(&mut self) -> Result<&mut Link, Error> {
        self.link
            .as_mut()
            .filter(|link| link.up)
            .ok_or(Error::Refused("the link is not up"))
    }

    pub(crate) fn flush_link(&mut self) {
        let Some(link) = self
            .link
            .as_mut()
            .filter(|link| link.progress != Progress::Blocked)
        else {
            return;
        };
        let (mut sent, was_well) = (Vec::new(), link.failed.is_none());
        link.flush(&mut self.counters, &mut sent);
        let broke = was_well && link.failed.is_some();
        for (checkpoint, tally) in sent {
            self.tell(Event::Sent { checkpoint, tally });
        }
        if broke {
            self.serve_link(); // what the peer said before it closed the connection: why
        }
    }

    /// At the end of a turn: a link on which something went wrong is no more.
    pub(crate) fn end_failed_link(&mut self) {
        let failed = self.link.as_mut().and_then(|link| link.failed.take());
        let Some(reason) = failed else { return };
        self.detach_link();
        self.tell(Event::LinkDown { reason });
    }

    pub(crate) fn serve_link(&mut self) {
        let Some(link) = &mut self.link else { return };
        let received = link.receive();
        if let Ok(count) = received
            && count > 0
        {
            self.heard = self.now;
            link.watch.heard(self.now);
            self.counters.link_bytes_in += count as u64;
        }
        // What came before an end of the connection still counts.
        let offence = self.take_messages();
        let Some(link) = &mut self.link else { return };
        if let Some(why) = offence {
            link.fail(why);
        }
        if let Err(error) = received {
            link.fail(error);
        }
    }

    /// Handles all whole messages; returns why the link must end, if it must.
    fn take_messages(&mut self) -> Option<String> {
        // Taken out, so that messages can borrow from it while the engine handles them.
        let mut decoder = std::mem::take(&mut self.link.as_mut()?.decoder);
        let offence = loop {
            match decoder.next_message() {
                Ok(Some(message)) => {
                    self.note_link_up();
                    if let Err(why) = self.message(message) {
                        break Some(why.to_owned());
                    }
                }
                Ok(None) => break None,
                Err(error) => break Some(error.to_string()),
            }
        };
        self.link.as_mut()?.decoder = decoder;
        offence
    }

    /// The first message proves that the peer, too, has accepted us: a TLS client alone cannot tell.
    fn note_link_up(&mut self) {
        let Some(link) = self.link.as_mut().filter(|link| !link.up) else {
            return;
        };
        link.up = true;
        let peer = link.peer.clone();
        self.tell(Event::LinkUp { peer });
    }

    fn message(&mut self, message: Message<'_>) -> Result<(), Offence> {
        match message {
            Message::FrameIn { nic, frame } => self.frame_in(nic, frame),
            Message::FrameOut { nic, epoch, frame } => self.frame_out(nic, epoch, frame),
            Message::Isn { nic, flow, isn } => self.isn(nic, flow, isn),
            Message::IsnAck { count } => self.isn_ack(count),
            Message::Translations(table) => self.translations(table),
            Message::Cut { checkpoint } => self.cut_came(checkpoint),
            Message::Control(payload) => self.control(payload),
            Message::Pages(payload) | Message::Device(payload) | Message::StateEnd(payload) => {
                self.state(message.kind(), payload);
                Ok(())
            }
            Message::Heartbeat { progress, .. } => {
                let signal = self
                    .link
                    .as_mut()
                    .and_then(|link| link.watch.heartbeat(progress, self.now));
                self.tell_signal(signal);
                Ok(())
            }
        }
    }

    fn control(&mut self, payload: &[u8]) -> Result<(), Offence> {
        self.counters.control_in += 1;
        if let Some(link) = &mut self.link
            && let Some((_, checkpoint)) = link.commit_when.take_if(|(said, _)| said == payload)
        {
            self.commit(checkpoint);
        }
        self.tell_or_end(Event::Control(payload.to_vec()));
        Ok(())
    }

    /// Counts a message that does not fit our role: late ones of a former role are normal.
    pub(crate) fn ignore(&mut self) -> Result<(), Offence> {
        self.counters.ignored += 1;
        Ok(())
    }

    pub(crate) fn check_nic(&self, nic: u8) -> Result<(), Offence> {
        if nic < self.config.nics {
            Ok(())
        } else {
            Err("a message for a network card that is not there")
        }
    }

    /// Counters and gauges.
    pub(crate) fn stats(&self) -> Vec<(&'static str, u64)> {
        let mut entries = self.counters.entries();
        entries.extend(crate::stats::compared(&self.compare.stats()));
        entries.push(("translated", self.translated()));
        entries.push(("role", self.role as u64));
        entries.push((
            "link_up",
            u64::from(self.link.as_ref().is_some_and(|link| link.up)),
        ));
        entries.push((
            "egress_waiting",
            self.nics.iter().map(|nic| nic.egress.len() as u64).sum(),
        ));
        entries
    }

    pub(crate) fn is_primary(&self) -> bool {
        self.role == Role::Primary
    }
}
