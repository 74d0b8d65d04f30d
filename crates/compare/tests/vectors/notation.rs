//! From text to steps.

use std::collections::HashMap;

use crate::frame;
use crate::spec::{Spec, number};

/// What goes in.
#[derive(Clone, Debug)]
pub enum Input {
    Primary(u8, Vec<u8>),
    Secondary(u8, u64, Vec<u8>),
    Cut(u64),
    Commit(u64),
    Loaded(u64),
    Alone,
    Time,
}

/// What comes out.
#[derive(Clone, PartialEq, Eq)]
pub enum Output {
    /// In the words of the vectors, numbers in decimal.
    Event(String),
    Frame(u8, Vec<u8>),
}

/// What must be so after a step.
#[derive(Debug)]
pub enum Check {
    Held(u64),
    Full(bool),
}

pub struct Step {
    pub line: usize,
    pub time: u64,
    pub input: Input,
    pub expected: Vec<Output>,
    pub checks: Vec<Check>,
}

#[derive(Default)]
pub struct Vector {
    pub limits: HashMap<String, u64>,
    pub steps: Vec<Step>,
}

pub fn parse(text: &str) -> Result<Vector, String> {
    let lines: Vec<(usize, &str)> = text.lines().enumerate().collect();
    let mut reader = Reader {
        epoch: 1,
        ..Reader::default()
    };
    reader.all(&lines, &mut Vec::new())?;
    Ok(reader.vector)
}

#[derive(Default)]
struct Reader {
    vector: Vector,
    named: HashMap<String, Vec<String>>,
    /// Of the secondary's frames.
    epoch: u64,
}

impl Reader {
    /// Lines with these names for numbers; loops call it again.
    fn all(&mut self, lines: &[(usize, &str)], names: &mut Vec<(String, u64)>) -> Result<(), String> {
        let mut at = 0;
        while let Some((number, line)) = lines.get(at) {
            at += 1;
            let words: Vec<&str> = line.split_whitespace().collect();
            match words.as_slice() {
                [] => {}
                _ if line.starts_with('#') => {}
                ["for", name, from, to] => {
                    let end = at + end_of_loop(&lines[at..])?;
                    for value in integer(from)?..=integer(to)? {
                        names.push((format!("{{{name}}}"), value));
                        self.all(&lines[at..end], names)?;
                        names.pop();
                    }
                    at = end + 1;
                }
                _ => {
                    let text = names.iter().fold((*line).to_owned(), |text, (name, value)| {
                        text.replace(name, &value.to_string())
                    });
                    self.line(number + 1, &text)
                        .map_err(|why| format!("line {}: {text}: {why}", number + 1))?;
                }
            }
        }
        Ok(())
    }

    fn line(&mut self, line: usize, text: &str) -> Result<(), String> {
        let words = tokens(text);
        let (first, rest) = words.split_first().ok_or("nothing")?;
        if first == "limits" {
            return self.limits(rest);
        }
        let output = match first.as_str() {
            ">" => Some(self.frame(rest)?),
            "!" => Some(Output::Event(event(rest)?)),
            _ => None,
        };
        if output.is_some() || first == "=" {
            let last = self.vector.steps.last_mut().ok_or("nothing has happened yet")?;
            match output {
                Some(output) => last.expected.push(output),
                None => last.checks.push(check(rest)?),
            }
            return Ok(());
        }
        let step = self.step(line, first, rest)?;
        if self.vector.steps.last().is_some_and(|last| last.time > step.time) {
            return Err("time runs backwards".into());
        }
        self.vector.steps.push(step);
        Ok(())
    }

    fn limits(&mut self, words: &[String]) -> Result<(), String> {
        for word in words {
            let (key, value) = word.split_once('=').ok_or("no value")?;
            if !["hold", "held", "flows", "pending"].contains(&key) || !self.vector.steps.is_empty() {
                return Err("limits that nobody knows, or too late".into());
            }
            self.vector.limits.insert(key.into(), integer(value)?);
        }
        Ok(())
    }

    fn step(&mut self, line: usize, verb: &str, words: &[String]) -> Result<Step, String> {
        let (at, words) = words.split_first().ok_or("no time")?;
        let checkpoint = || integer(words.first().ok_or("no checkpoint")?);
        let input = match verb {
            "p" => self.primary(words)?,
            "s" => self.secondary(words)?,
            "cut" => Input::Cut(checkpoint()?),
            "commit" => Input::Commit(checkpoint()?),
            "loaded" => {
                self.epoch = checkpoint()? + 1;
                Input::Loaded(checkpoint()?)
            }
            "alone" => Input::Alone,
            "time" => Input::Time,
            other => return Err(format!("no such step: {other}")),
        };
        Ok(Step {
            line,
            time: time(at)?,
            input,
            expected: Vec::new(),
            checks: Vec::new(),
        })
    }

    fn primary(&mut self, words: &[String]) -> Result<Input, String> {
        let (first, rest) = words.split_first().ok_or("no frame")?;
        let words = match first.strip_suffix(':') {
            Some(name) => {
                self.named.insert(name.into(), rest.to_vec());
                rest
            }
            None => words,
        };
        built(words).map(|(nic, frame)| Input::Primary(nic, frame))
    }

    fn secondary(&mut self, words: &[String]) -> Result<Input, String> {
        let (first, rest) = words.split_first().ok_or("no frame")?;
        let (epoch, words) = match first.strip_prefix('@') {
            Some(epoch) => (integer(epoch)?, rest),
            None => (self.epoch, words),
        };
        built(words).map(|(nic, frame)| Input::Secondary(nic, epoch, frame))
    }

    /// A frame that must come out: in words, or by name with changes.
    fn frame(&self, words: &[String]) -> Result<Output, String> {
        let named = words.first().and_then(|name| self.named.get(name));
        let (nic, frame) = match named {
            Some(named) => built(&[named, &words[1..]].concat())?,
            None => built(words)?,
        };
        Ok(Output::Frame(nic, frame))
    }
}

fn built(words: &[String]) -> Result<(u8, Vec<u8>), String> {
    let spec = Spec::parse(words)?;
    Ok((spec.number("nic", 0)? as u8, frame::build(&spec)?))
}

fn end_of_loop(lines: &[(usize, &str)]) -> Result<usize, String> {
    let mut depth = 1;
    for (index, (_, line)) in lines.iter().enumerate() {
        match line.split_whitespace().next() {
            Some("for") => depth += 1,
            Some("end") => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Ok(index);
        }
    }
    Err("a loop without an end".into())
}

/// Words; one in quotes may contain spaces.
fn tokens(text: &str) -> Vec<String> {
    let mut quoted = false;
    let between = |letter: char| {
        quoted ^= letter == '"';
        letter == ' ' && !quoted
    };
    let words = text.split(between).filter(|word| !word.is_empty());
    words.map(str::to_owned).collect()
}

fn event(words: &[String]) -> Result<String, String> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["isn", isn] => Ok(format!("isn {}", number(isn)?)),
        [
            "divergence",
            "stream" | "end" | "handshake" | "message" | "ports" | "acknowledgement",
        ]
        | ["hold" | "queue"] => Ok(words.join(" ")),
        _ => Err("no such event".into()),
    }
}

fn check(words: &[String]) -> Result<Check, String> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["held", count] => Ok(Check::Held(integer(count)?)),
        ["full"] => Ok(Check::Full(true)),
        ["room"] => Ok(Check::Full(false)),
        _ => Err("no such check".into()),
    }
}

fn integer(text: &str) -> Result<u64, String> {
    text.parse().map_err(|why| format!("{text}: {why}"))
}

/// Seconds with up to nine decimals, in nanoseconds.
fn time(text: &str) -> Result<u64, String> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    if fraction.len() > 9 {
        return Err("more than nine decimals".into());
    }
    Ok(integer(seconds)? * 1_000_000_000 + integer(&format!("{fraction:0<9}"))?)
}
