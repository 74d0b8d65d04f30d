//! A peer that the test plays.

use super::{PATIENCE, Side, tcp_pair};
use colo_link::testing::TestCa;
use colo_link::{Decoder, Message, Outgoing, Session};
use std::io::Read;
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::time::Instant;

/// The other end of a side's link, played by the test: node "alpha", which says only what it is told to.
pub struct FakePeer {
    socket: TcpStream,
    session: Session,
    decoder: Decoder,
    queue: Outgoing,
}

impl FakePeer {
    /// Linked to the side, which is node "beta".
    pub fn connect(side: &Side, ca: &TestCa) -> Self {
        let (socket, ours) = tcp_pair();
        side.relay
            .attach_link(ours.as_fd(), &ca.node("beta").unwrap(), "alpha", true)
            .unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let session = ca.node("alpha").unwrap().client("beta").unwrap();
        let mut peer = Self {
            socket,
            session,
            decoder: Decoder::default(),
            queue: Outgoing::new(64 << 20),
        };
        peer.send(&Message::Heartbeat {
            progress: 1,
            boottime: 1,
        });
        while !peer.session.is_established() {
            peer.read();
        }
        peer.flush();
        peer
    }

    pub fn send(&mut self, message: &Message<'_>) {
        self.queue.push(message).unwrap();
        self.flush();
    }

    /// Reads until a message fits.
    pub fn await_message(&mut self, wanted: impl Fn(&Message<'_>) -> bool) {
        let until = Instant::now() + PATIENCE;
        loop {
            while let Some(message) = self.decoder.next_message().unwrap() {
                if wanted(&message) {
                    return;
                }
            }
            assert!(Instant::now() < until, "the message did not come");
            self.read();
        }
    }

    fn read(&mut self) {
        let mut bytes = [0; 65_536];
        let count = self.socket.read(&mut bytes).unwrap();
        assert!(count > 0, "the relay ended the link");
        self.session.receive(&bytes[..count], &mut self.decoder).unwrap();
        self.flush();
    }

    fn flush(&mut self) {
        // The relay may have ended the link already: that is what some tests are about.
        let _ = self
            .session
            .flush(&mut self.socket, &mut self.queue, usize::MAX, &mut |_| None);
    }
}
