//! A flow is a TCP connection, a lane of messages, or the fragments between two hosts.

use std::hash::{BuildHasher, RandomState};

use crate::assembly::Assembly;
use crate::held::Held;
use crate::hold::Look;
use crate::message::Lane;
use crate::mismatch::Mismatch;
use crate::outlet::Outlet;
use crate::table::{Key, Mortal, Slot, Table};
use crate::tcp::Connection;

/// State of one flow. A key says which of the three it is: the protocol is part of it.
#[derive(Debug)]
pub(crate) enum Flow {
    Tcp(Box<Connection>),
    Messages(Box<Lane>),
    Fragments(Box<Assembly>),
}

impl Mortal for Flow {
    const SHORTEST: u64 = least(Connection::SHORTEST, least(Lane::SHORTEST, Assembly::SHORTEST));

    fn lifetime(&self) -> Option<u64> {
        match self {
            Self::Tcp(connection) => connection.lifetime(),
            Self::Messages(lane) => lane.lifetime(),
            Self::Fragments(assembly) => assembly.lifetime(),
        }
    }

    fn is_spare(&self) -> bool {
        match self {
            Self::Tcp(connection) => connection.is_spare(),
            Self::Messages(lane) => lane.is_spare(),
            Self::Fragments(assembly) => assembly.is_spare(),
        }
    }

    fn kept(&self) -> usize {
        match self {
            Self::Tcp(connection) => connection.kept(),
            Self::Messages(lane) => lane.kept(),
            Self::Fragments(assembly) => assembly.kept(),
        }
    }
}

const fn least(one: u64, other: u64) -> u64 {
    if one < other { one } else { other }
}

impl Flow {
    /// Takes out what `take` says, from the front.
    pub(crate) fn drain(&mut self, take: impl Fn(&Held) -> bool, into: &mut Vec<(u8, Held)>, nic: u8) {
        match self {
            Self::Tcp(connection) => connection.drain(take, into, nic),
            Self::Messages(lane) => lane.drain(take, into, nic),
            Self::Fragments(assembly) => assembly.drain(take, into, nic),
        }
    }

    /// What of the PVM has waited longest for the SVM, and since when.
    pub(crate) fn missing(&self) -> Option<(u64, Mismatch)> {
        match self {
            Self::Tcp(connection) => connection.missing(),
            Self::Messages(lane) => lane.missing(),
            Self::Fragments(assembly) => assembly.missing(),
        }
    }

    /// Looks at its waits.
    pub(crate) fn look(&mut self, outlet: &mut Outlet) -> Look {
        let epochs = &outlet.epochs;
        let (since, patience) = match self {
            Self::Tcp(connection) => connection.waits(epochs.current),
            Self::Messages(lane) => lane.waits(epochs.current),
            Self::Fragments(assembly) => assembly.waits(epochs.current),
        };
        let since = since.map(|since| since.max(epochs.running_since));
        outlet.holds.look(since, patience, outlet.now)
    }

    /// A checkpoint was committed.
    pub(crate) fn committed(&mut self, key: Key, outlet: &mut Outlet) {
        match self {
            Self::Tcp(connection) => connection.committed(key, outlet),
            Self::Messages(lane) => lane.committed(key, outlet),
            Self::Fragments(assembly) => assembly.committed(outlet),
        }
    }

    /// There is no SVM any more: what it held back goes.
    pub(crate) fn alone(&mut self, nic: u8, outlet: &mut Outlet) {
        if let Self::Tcp(connection) = self {
            connection.alone(nic, outlet);
        }
    }
}

/// All flows of a VM.
#[derive(Debug)]
pub(crate) struct Flows {
    table: Table<Flow>,
    /// Of the hashes of messages, unknown to clients.
    seed: u64,
}

impl Flows {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            table: Table::new(limit),
            seed: RandomState::new().hash_one(0),
        }
    }

    /// The connection; a new one begins in epoch `begin`. `None`: it is unknown and may not begin, or no room.
    pub(crate) fn connection(&mut self, key: Key, begin: Option<u64>, now: u64) -> Option<&mut Connection> {
        match self.find(
            key,
            now,
            begin.map(|epoch| move |slot| Flow::Tcp(Box::new(Connection::new(slot, epoch)))),
        )? {
            Flow::Tcp(connection) => Some(connection),
            Flow::Messages(_) | Flow::Fragments(_) => None,
        }
    }

    /// The same for messages.
    pub(crate) fn lane(&mut self, key: Key, begin: Option<u64>, now: u64) -> Option<&mut Lane> {
        let seed = self.seed;
        match self.find(
            key,
            now,
            begin.map(|epoch| move |slot| Flow::Messages(Box::new(Lane::new(slot, epoch, seed)))),
        )? {
            Flow::Messages(lane) => Some(lane),
            Flow::Tcp(_) | Flow::Fragments(_) => None,
        }
    }

    /// The same for fragments.
    pub(crate) fn assembly(&mut self, key: Key, begin: Option<u64>, now: u64) -> Option<&mut Assembly> {
        match self.find(
            key,
            now,
            begin.map(|epoch| move |slot| Flow::Fragments(Box::new(Assembly::new(slot, epoch)))),
        )? {
            Flow::Fragments(assembly) => Some(assembly),
            Flow::Tcp(_) | Flow::Messages(_) => None,
        }
    }

    /// A flow that is known; it does not live longer for being looked at.
    pub(crate) fn look_at(&mut self, slot: Slot) -> Option<(Key, &mut Flow)> {
        self.table.peek(slot)
    }

    fn find(&mut self, key: Key, now: u64, make: Option<impl FnOnce(Slot) -> Flow>) -> Option<&mut Flow> {
        match make {
            Some(make) => self.table.get_or_add(&key, now, make),
            None => self.table.get(&key, now),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    /// Pending bytes of flows that were forgotten since the last call.
    pub(crate) const fn take_freed(&mut self) -> usize {
        self.table.take_freed()
    }

    pub(crate) fn sweep(&mut self, now: u64, count: usize) {
        self.table.sweep(now, count);
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (Key, &mut Flow)> {
        self.table.iter_mut()
    }

    pub(crate) fn clear(&mut self) {
        self.table.clear();
    }
}
