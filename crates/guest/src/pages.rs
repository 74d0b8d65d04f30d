//! What the HTTP service has to show.
//!
//! | target | answer |
//! |---|---|
//! | `/` | a line of text |
//! | `/small` | 1024 bytes |
//! | `/large?mib=N` | N MiB (default 16, at most 4096), see `large` |
//! | `/write?pages=R&mib=M` | starts writing R pages (at most 1,000,000) per second over M MiB (default 16, at most 128); 0 stops |
//! | `/patterns?pages=R&mib=M` | starts writing R random pages (at most 100,000) per second over M MiB (default 16, at most 128); 0 stops |
//! | `/patterns/verdict` | `intact`, or which page of these is not what was written |
//! | `/check` | starts the checks of `check`, once |
//! | `/check/verdict?rounds=N` | after N rounds more of them (default 1, at most 20): `N rounds: intact`, or `fault: ...` |
//! | `/random` | a line that differs on every request and between two copies of the guest: it forces a divergence |
//! | `/stats` | counts, see `stats` |
//! | `/upload`, by POST | `LENGTH SHA256\n` of what came, of any size |
//!
//! Anything else is 404, by POST 405; a wrong parameter is 400.

use std::fs::File;
use std::io::{self, Read};
use std::time::SystemTime;

use crate::check::Check;
use crate::large::CHUNK;
use crate::patterns::Patterns;
use crate::sha256::Sha256;
use crate::stats::Stats;
use crate::writer::{Load, Writer};

const CHUNKS_PER_MIB: u64 = (1 << 20) / CHUNK as u64;

/// An answer, but for what concerns the connection.
#[derive(Debug, PartialEq, Eq)]
pub struct Page {
    /// Code and phrase.
    pub status: &'static str,
    pub body: Body,
}

/// What comes after the head.
#[derive(Debug, PartialEq, Eq)]
pub enum Body {
    Text(String),
    Large { chunks: u64 },
}

/// The guest's state as far as pages show or change it.
#[derive(Default)]
pub struct Site {
    pub stats: Stats,
    writer: Writer,
    patterns: Patterns,
    check: Check,
}

impl Site {
    /// The answer to a GET of `target`.
    pub fn page(&self, target: &str) -> Page {
        self.stats.http_requests.add(1);
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        match path {
            "/" => ok("colo demo guest: it works\n".to_owned()),
            "/small" => ok("0123456789abcde\n".repeat(64)),
            "/large" => large(query).unwrap_or_else(bad_parameter),
            "/write" => self.write(query).unwrap_or_else(bad_parameter),
            "/patterns" => self.pattern(query).unwrap_or_else(bad_parameter),
            "/patterns/verdict" => ok(intact(self.patterns.verdict())),
            "/check" => self.start_check(),
            "/check/verdict" => self.verdict(query).unwrap_or_else(bad_parameter),
            "/random" => random().map_or_else(|error| failed(&error), ok),
            "/stats" => ok(self.stats.page()),
            _ => Page {
                status: "404 Not Found",
                body: Body::Text("404 Not Found\n".to_owned()),
            },
        }
    }

    fn start_check(&self) -> Page {
        match self.check.start() {
            Ok(()) => ok("checking\n".to_owned()),
            Err(error) => failed(&error),
        }
    }

    fn verdict(&self, query: &str) -> Option<Page> {
        let rounds = parameter(query, "rounds", Some(1), 1..=20)?;
        Some(ok(self.check.verdict(rounds)))
    }

    fn pattern(&self, query: &str) -> Option<Page> {
        let pages = parameter(query, "pages", None, 0..=100_000)?;
        let mib = parameter(query, "mib", Some(16), 1..=128)?;
        let load = Load {
            pages,
            mib: usize::try_from(mib).ok()?,
        };
        if !self.patterns.start(load) {
            return Some(failed(&io::ErrorKind::OutOfMemory.into()));
        }
        Some(ok(format!("writing {pages} random pages/s over {mib} MiB\n")))
    }

    /// The answer to a POST to `target`, whose body is read to its end.
    pub fn post(&self, target: &str, body: &mut io::Take<impl Read>) -> io::Result<Page> {
        self.stats.http_requests.add(1);
        let mut hash = Sha256::new();
        let length = body.limit();
        let mut buffer = vec![0; 64 * 1024];
        while body.limit() > 0 {
            match body.read(&mut buffer) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => hash.feed(buffer.get(..count).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(match target {
            "/upload" => ok(format!("{length} {}\n", hash.finish())),
            _ => Page {
                status: "405 Method Not Allowed",
                body: Body::Text("405 Method Not Allowed\n".to_owned()),
            },
        })
    }

    fn write(&self, query: &str) -> Option<Page> {
        let pages = parameter(query, "pages", None, 0..=1_000_000)?;
        let mib = parameter(query, "mib", Some(16), 1..=128)?;
        let load = Load {
            pages,
            mib: usize::try_from(mib).ok()?,
        };
        if !self.writer.start(load) {
            return Some(failed(&io::ErrorKind::OutOfMemory.into()));
        }
        Some(ok(format!("writing {pages} pages/s over {mib} MiB\n")))
    }
}

fn large(query: &str) -> Option<Page> {
    let mib = parameter(query, "mib", Some(16), 1..=4096)?;
    Some(Page {
        status: "200 OK",
        body: Body::Large {
            chunks: mib * CHUNKS_PER_MIB,
        },
    })
}

/// The clock is needed beside the kernel's random bytes: after a checkpoint both copies have the same random state.
fn random() -> io::Result<String> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    let clock = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    Ok(format!(
        "{:032x} {:024x}\n",
        u128::from_le_bytes(bytes),
        clock.as_nanos()
    ))
}

/// The value of `name` in a query string, or `default`. `None` when it is missing without one, no decimal number, or
/// out of range.
fn parameter(
    query: &str,
    name: &str,
    default: Option<u64>,
    range: std::ops::RangeInclusive<u64>,
) -> Option<u64> {
    let given = query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .find(|(key, _)| *key == name);
    let value = match given {
        Some((_, value)) => value.parse().ok(),
        None => default,
    };
    value.filter(|value| range.contains(value))
}

fn intact(verdict: Result<(), String>) -> String {
    verdict.map_or_else(|damage| damage + "\n", |()| "intact\n".to_owned())
}

fn ok(text: String) -> Page {
    Page {
        status: "200 OK",
        body: Body::Text(text),
    }
}

fn bad_parameter() -> Page {
    Page {
        status: "400 Bad Request",
        body: Body::Text("wrong parameter\n".to_owned()),
    }
}

fn failed(error: &io::Error) -> Page {
    Page {
        status: "500 Internal Server Error",
        body: Body::Text(format!("{error}\n")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(target: &str) -> &'static str {
        Site::default().page(target).status
    }

    #[test]
    fn small_has_exactly_one_kib() {
        let Body::Text(text) = Site::default().page("/small").body else {
            panic!("no text")
        };
        assert_eq!(text.len(), 1024);
    }

    #[test]
    fn large_takes_its_size_from_the_query() {
        let chunks = |target| Site::default().page(target).body;
        assert_eq!(chunks("/large"), Body::Large { chunks: 16 * 256 });
        assert_eq!(chunks("/large?mib=3"), Body::Large { chunks: 3 * 256 });
    }

    #[test]
    fn wrong_parameters_are_refused() {
        for target in [
            "/large?mib=0",
            "/large?mib=4097",
            "/large?mib=-1",
            "/large?mib=",
            "/large?mib=1x",
        ] {
            assert_eq!(status(target), "400 Bad Request", "{target}");
        }
        for target in [
            "/write",
            "/write?pages=1000001",
            "/write?pages=1&mib=129",
            "/write?pages=1&mib=0",
            "/patterns",
            "/patterns?pages=100001",
            "/patterns?pages=1&mib=129",
            "/check/verdict?rounds=0",
            "/check/verdict?rounds=21",
        ] {
            assert_eq!(status(target), "400 Bad Request", "{target}");
        }
        assert_eq!(status("/nothing"), "404 Not Found");
    }

    #[test]
    fn random_never_repeats() {
        let site = Site::default();
        assert_ne!(site.page("/random").body, site.page("/random").body);
    }

    #[test]
    fn all_but_random_and_stats_answer_alike_on_two_copies() {
        let (one, two) = (Site::default(), Site::default());
        for target in [
            "/",
            "/small",
            "/large?mib=2",
            "/write?pages=0",
            "/patterns?pages=0",
            "/patterns/verdict",
            "/check/verdict",
            "/stats",
            "/nothing",
            "/write",
        ] {
            assert_eq!(one.page(target), two.page(target), "{target}");
        }
    }
}
