//! Files of frames that Wireshark opens. Source: the IETF's draft-ietf-opsawg-pcapng.

const SECTION: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const ENHANCED_PACKET: u32 = 6;

const BYTE_ORDER: u32 = 0x1a2b_3c4d;
const VERSION: [u16; 2] = [1, 0];
const UNKNOWN_LENGTH: u64 = u64::MAX;
const ETHERNET: u16 = 1;

const COMMENT: u16 = 1;
const INTERFACE_NAME: u16 = 2;
const APPLICATION: u16 = 4;
const RESOLUTION: u16 = 9;
/// Of the times: 10^-9 s.
const NANOSECONDS: u8 = 9;

/// Characters; longer texts are cut.
const MOST_TEXT: usize = 1000;

/// A file in the making: first the interfaces, then the frames.
pub(crate) struct Writer {
    file: Vec<u8>,
}

impl Writer {
    /// `expected` is about how many bytes of frames will come.
    pub(crate) fn new(comment: &str, expected: usize) -> Self {
        let mut writer = Self {
            file: Vec::with_capacity(expected),
        };
        writer.block(SECTION, |file| {
            file.extend(BYTE_ORDER.to_le_bytes());
            file.extend(VERSION.iter().flat_map(|part| part.to_le_bytes()));
            file.extend(UNKNOWN_LENGTH.to_le_bytes());
            text(file, APPLICATION, "colo");
            text(file, COMMENT, comment);
            end_of_options(file);
        });
        writer
    }

    /// The next interface, counted from 0.
    pub(crate) fn interface(&mut self, name: &str) {
        self.block(INTERFACE, |file| {
            file.extend(ETHERNET.to_le_bytes());
            file.extend([0; 6]); // reserved, and no limit of length
            text(file, INTERFACE_NAME, name);
            option(file, RESOLUTION, &[NANOSECONDS]);
            end_of_options(file);
        });
    }

    /// A frame in two parts; `time` in nanoseconds since 1970.
    pub(crate) fn packet(&mut self, interface: u32, time: u64, frame: [&[u8]; 2], comment: &str) {
        let length = frame.iter().map(|part| part.len() as u32).sum::<u32>();
        self.block(ENHANCED_PACKET, |file| {
            for word in [interface, (time >> 32) as u32, time as u32, length, length] {
                file.extend(word.to_le_bytes());
            }
            file.extend_from_slice(frame[0]);
            file.extend_from_slice(frame[1]);
            pad(file);
            text(file, COMMENT, comment);
            end_of_options(file);
        });
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        self.file
    }

    /// A block's length stands before and behind its body.
    fn block(&mut self, kind: u32, body: impl FnOnce(&mut Vec<u8>)) {
        let start = self.file.len();
        self.file.extend(kind.to_le_bytes());
        self.file.extend([0; 4]);
        body(&mut self.file);
        let length = (self.file.len() - start + 4) as u32;
        self.file.extend(length.to_le_bytes());
        if let Some(place) = self.file.get_mut(start + 4..start + 8) {
            place.copy_from_slice(&length.to_le_bytes());
        }
    }
}

fn text(file: &mut Vec<u8>, code: u16, text: &str) {
    let end = text
        .char_indices()
        .nth(MOST_TEXT)
        .map_or(text.len(), |(at, _)| at);
    option(file, code, text.get(..end).unwrap_or_default().as_bytes());
}

fn option(file: &mut Vec<u8>, code: u16, value: &[u8]) {
    file.extend(code.to_le_bytes());
    file.extend((value.len() as u16).to_le_bytes());
    file.extend_from_slice(value);
    pad(file);
}

fn end_of_options(file: &mut Vec<u8>) {
    file.extend([0; 4]);
}

/// Everything is a multiple of four bytes long.
fn pad(file: &mut Vec<u8>) {
    file.resize(file.len().next_multiple_of(4), 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// (kind, body) of all blocks; both lengths must be right.
    fn blocks(mut file: &[u8]) -> Vec<(u32, Vec<u8>)> {
        let word = |bytes: &[u8]| u32::from_le_bytes(bytes.try_into().unwrap());
        let mut found = Vec::new();
        while !file.is_empty() {
            let length = word(&file[4..8]) as usize;
            assert_eq!(length % 4, 0);
            assert_eq!(word(&file[length - 4..length]) as usize, length);
            found.push((word(&file[..4]), file[8..length - 4].to_vec()));
            file = &file[length..];
        }
        found
    }

    #[test]
    fn every_block_is_whole_whatever_the_lengths() {
        let mut writer = Writer::new(&"é".repeat(2000), 0);
        writer.interface("pvm");
        for length in 0..9 {
            writer.packet(0, u64::MAX, [&[7; 9][..length], b"abc"], &"x".repeat(length));
        }
        let blocks = blocks(&writer.finish());
        let kinds: Vec<u32> = blocks.iter().map(|(kind, _)| *kind).collect();
        assert_eq!(kinds[..2], [SECTION, INTERFACE]);
        assert_eq!(kinds[2..], [ENHANCED_PACKET; 9]);
    }

    #[test]
    fn a_packet_has_its_interface_time_and_bytes() {
        let mut writer = Writer::new("", 0);
        writer.packet(2, 0x0102_0304_0506_0708, [b"abc", b"de"], "epoch 7");
        let (_, body) = blocks(&writer.finish()).pop().unwrap();
        let words: Vec<u32> = body[..20]
            .chunks(4)
            .map(|word| u32::from_le_bytes(word.try_into().unwrap()))
            .collect();
        assert_eq!(words, [2, 0x0102_0304, 0x0506_0708, 5, 5]);
        assert_eq!(&body[20..28], b"abcde\0\0\0");
        assert_eq!(&body[28..], b"\x01\0\x07\0epoch 7\0\0\0\0\0");
    }
}
