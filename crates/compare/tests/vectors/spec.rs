//! A frame in words.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

const HOSTS: [&str; 2] = ["10.0.0.2", "10.0.0.9"];
const FLAGS: [(char, u8); 6] = [('F', 1), ('S', 2), ('R', 4), ('P', 8), ('A', 16), ('U', 32)];

pub struct Spec {
    pub kind: String,
    pub ends: [SocketAddr; 2],
    keys: HashMap<String, String>,
    pub flags: u8,
    pub data: Vec<u8>,
}

impl Spec {
    /// Of a key that is there twice the last one counts.
    pub fn parse(words: &[String]) -> Result<Self, String> {
        let (kind, mut words) = words.split_first().ok_or("no frame")?;
        let mut spec = Self {
            kind: kind.clone(),
            ends: [end("0", HOSTS[0])?, end("0", HOSTS[1])?],
            keys: HashMap::new(),
            flags: 0,
            data: Vec::new(),
        };
        if kind == "hex" {
            spec.data = hex(&words.concat())?;
            return Ok(spec);
        }
        let first = words.first().filter(|word| !word.starts_with('"'));
        if let Some((one, other)) = first.and_then(|word| word.split_once('>')) {
            spec.ends = [end(one, HOSTS[0])?, end(other, HOSTS[1])?];
            words = &words[1..];
        }
        words.iter().try_for_each(|word| spec.add(word))?;
        Ok(spec)
    }

    fn add(&mut self, word: &str) -> Result<(), String> {
        let letters = word
            .chars()
            .map(|letter| FLAGS.iter().find(|(known, _)| *known == letter));
        if let Some(flags) = letters.collect::<Option<Vec<_>>>() {
            self.flags = flags.iter().fold(0, |sum, (_, flag)| sum | flag);
        } else if let Some(text) = word.strip_prefix('"') {
            self.data.extend(text.trim_end_matches('"').as_bytes());
        } else if let Some(digits) = word.strip_prefix("0x") {
            self.data.extend(hex(digits)?);
        } else if let Some(range) = word.strip_prefix('@') {
            let (from, count) = pair(range, '+')?;
            self.data.extend((from..from + count).map(pattern));
        } else {
            let (key, value) = word.split_once('=').ok_or_else(|| format!("what is {word}?"))?;
            self.keys.insert(key.into(), value.into());
        }
        Ok(())
    }

    pub fn text(&self, key: &str) -> Option<&str> {
        self.keys.get(key).map(String::as_str)
    }

    pub fn number(&self, key: &str, default: u32) -> Result<u32, String> {
        self.text(key).map_or(Ok(default), number)
    }

    pub fn hex(&self, key: &str) -> Result<Vec<u8>, String> {
        hex(self.text(key).unwrap_or_default())
    }

    /// FROM+COUNT of a fragment.
    pub fn part(&self) -> Result<Option<(usize, usize)>, String> {
        let part = self.text("part").map(|part| pair(part, '+')).transpose()?;
        Ok(part.map(|(from, count)| (from as usize, count as usize)))
    }
}

/// A byte of the endless stream.
fn pattern(position: u32) -> u8 {
    (position.wrapping_mul(2_654_435_761) >> 24) as u8
}

fn pair(text: &str, between: char) -> Result<(u32, u32), String> {
    let (one, other) = text
        .split_once(between)
        .ok_or_else(|| format!("not two numbers: {text}"))?;
    Ok((number(one)?, number(other)?))
}

/// A sum of numbers modulo 2^32.
pub fn number(text: &str) -> Result<u32, String> {
    let term = |term: &str| match term.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16),
        None => term.parse(),
    };
    text.split('+').try_fold(0_u32, |sum, next| {
        let next = term(next).map_err(|why| format!("{next}: {why}"))?;
        Ok(sum.wrapping_add(next))
    })
}

pub fn hex(text: &str) -> Result<Vec<u8>, String> {
    if !text.is_ascii() || text.len() % 2 == 1 {
        return Err(format!("not hex: {text}"));
    }
    let byte = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).map_err(|why| format!("{text}: {why}"));
    (0..text.len()).step_by(2).map(byte).collect()
}

fn end(text: &str, host: &str) -> Result<SocketAddr, String> {
    let wrong = || format!("neither port nor address: {text}");
    if let Ok(port) = text.parse() {
        return Ok(SocketAddr::new(host.parse().map_err(|_| wrong())?, port));
    }
    if let Ok(both) = text.parse() {
        return Ok(both);
    }
    let address: IpAddr = text.trim_matches(['[', ']']).parse().map_err(|_| wrong())?;
    Ok(SocketAddr::new(address, 0))
}
