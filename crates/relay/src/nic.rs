//! One network card: the VM on one side, the clients on the other.

use crate::addresses::Addresses;
use crate::egress::Egress;
use crate::port::Closed;
use crate::shelf::Shelf;
use crate::tap::Sent;
use crate::uplink::Uplink;
use crate::vm_port::VmPort;

pub(crate) struct Nic {
    pub(crate) vm: Option<VmPort>,
    pub(crate) uplink: Option<Uplink>,
    pub(crate) egress: Egress,
    pub(crate) addresses: Addresses,
}

/// What a flush of the egress did.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Flushed {
    pub(crate) sent: u64,
    pub(crate) lost: u64,
}

impl Nic {
    pub(crate) fn new(egress_limit: usize) -> Self {
        Self {
            vm: None,
            uplink: None,
            egress: Egress::new(egress_limit),
            addresses: Addresses::default(),
        }
    }

    /// Sends what may leave, asking `open` right before each write. Without an uplink frames go nowhere, as
    /// on a card without a cable.
    pub(crate) fn flush_egress(
        &mut self,
        isn_known: u64,
        open: impl Fn() -> bool,
        shelf: &mut Shelf,
    ) -> Result<Flushed, Closed> {
        let mut flushed = Flushed::default();
        let Some(uplink) = &mut self.uplink else {
            flushed.lost = self.egress.len() as u64;
            self.egress.clear();
            return Ok(flushed);
        };
        while !uplink.is_blocked() && open() {
            let (sent, count) = uplink.send(self.egress.ready(isn_known))?;
            match sent {
                Sent::Yes => flushed.sent += count as u64,
                Sent::Lost => flushed.lost += count as u64,
                Sent::Blocked => break,
            }
            if count == 0 {
                break;
            }
            for frame in (0..count).map_while(|_| self.egress.pop()) {
                shelf.put_back(frame.bytes);
            }
        }
        if uplink.waiting() > 0 && !uplink.is_blocked() && open() {
            uplink.flush()?;
        }
        Ok(flushed)
    }

    /// Drops all that waits in either direction.
    pub(crate) fn drop_queues(&mut self) {
        self.egress.clear();
        if let Some(vm) = &mut self.vm {
            vm.drop_output();
        }
        if let Some(uplink) = &mut self.uplink {
            uplink.drop_output();
        }
    }
}
