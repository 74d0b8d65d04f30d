//! Translations on their way from a survivor to the secondary that will survive it.
//!
//! The table of a survivor is between clients and its VM, and outside of all else: the comparison and the secondary's
//! own translations are in the VM's numbers. So a secondary keeps it unused, and uses it from its own take-over on.

use colo_packet::FlowKey;

use super::Translator;
use super::connection::Connection;

/// Not a table, or more connections than are translated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadTable;

impl Translator {
    /// Bytes of one connection in [`Translator::export`].
    pub const ENTRY: usize = 1 + FlowKey::ENCODED + 4 + 4;

    /// All connections that are translated, each as card u8, flow key, the ISN that clients know and the VM's, both
    /// u32 little-endian.
    #[must_use]
    pub fn export(&self) -> Vec<u8> {
        let mut table = Vec::new();
        for ((nic, flow), connection) in &self.connections {
            let Some((clients, own)) = connection.isns() else {
                continue;
            };
            table.push(*nic);
            flow.encode(&mut table);
            table.extend_from_slice(&clients.to_le_bytes());
            table.extend_from_slice(&own.to_le_bytes());
        }
        table
    }

    /// Keeps the primary's table, in place of an earlier one, until [`Translator::take_over`].
    ///
    /// # Errors
    /// The bytes are no table that fits; the earlier one stays.
    pub fn import(&mut self, table: &[u8]) -> Result<(), BadTable> {
        let entries = table.chunks_exact(Self::ENTRY);
        if !entries.remainder().is_empty() || entries.len() > self.max_flows {
            return Err(BadTable);
        }
        self.kept = entries.map(entry).collect::<Option<_>>().ok_or(BadTable)?;
        Ok(())
    }

    /// The primary is gone, clients speak to this VM: the kept table counts. Connections that are not translated by
    /// now never need to be, for no client has seen their beginning, and new ones have the VM's own numbers.
    pub fn take_over(&mut self) {
        self.learning = false;
        for (key, kept) in std::mem::take(&mut self.kept) {
            self.connections.entry(key).or_insert(kept);
        }
        self.connections
            .retain(|_, connection| connection.isns().is_some());
    }
}

fn entry(bytes: &[u8]) -> Option<((u8, FlowKey), Connection)> {
    let (nic, rest) = bytes.split_first()?;
    let (flow, isns) = rest.split_at_checked(FlowKey::ENCODED)?;
    let (clients, own) = isns.split_first_chunk()?;
    let connection = Connection::translated(
        u32::from_le_bytes(*clients),
        u32::from_le_bytes(own.try_into().ok()?),
    );
    Some(((*nic, FlowKey::decode(flow)?), connection))
}
