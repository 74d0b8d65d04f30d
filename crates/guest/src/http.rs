//! HTTP/1.1 (RFC 9112), as much as the demo needs: GET, POST, keep-alive, pipelining, Content-Length. The answer to a
//! request depends on the request alone: there is no Date header.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use crate::large::{self, CHUNK};
use crate::line;
use crate::pages::{Body, Page, Site};

/// The longest request line or header field, bytes with its end.
const LONGEST_LINE: usize = 4096;
/// Header fields of one request.
const MOST_FIELDS: usize = 64;

/// A request that was understood.
#[derive(Debug, PartialEq, Eq)]
struct Request {
    target: String,
    keep_alive: bool,
    /// Bytes that a POST brings.
    body: Option<u64>,
}

/// Why a request was not understood: the status of the answer, after which the connection ends.
#[derive(Debug, PartialEq, Eq)]
struct Refusal(&'static str);

const BAD_REQUEST: Refusal = Refusal("400 Bad Request");
const METHOD: Refusal = Refusal("405 Method Not Allowed");
const NO_LENGTH: Refusal = Refusal("411 Length Required");
const TOO_LARGE: Refusal = Refusal("431 Request Header Fields Too Large");
const VERSION: Refusal = Refusal("505 HTTP Version Not Supported");

/// Serves one connection until the client ends it, asks to, or sends what is no request.
pub fn serve(stream: &TcpStream, site: &Site) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    loop {
        match read_request(&mut reader)? {
            None => return Ok(()),
            Some(Err(Refusal(status))) => {
                let page = Page {
                    status,
                    body: Body::Text(format!("{status}\n")),
                };
                return write_page(stream, &page, false);
            }
            Some(Ok(request)) => {
                let page = match request.body {
                    None => site.page(&request.target),
                    Some(length) => site.post(&request.target, &mut (&mut reader).take(length))?,
                };
                write_page(stream, &page, request.keep_alive)?;
                if !request.keep_alive {
                    return Ok(());
                }
            }
        }
    }
}

/// `None` at the end of the stream.
fn read_request(reader: &mut impl BufRead) -> io::Result<Option<Result<Request, Refusal>>> {
    let mut lines = Vec::new();
    loop {
        let line = match line::read(reader, LONGEST_LINE) {
            Ok(Some(line)) => line,
            Ok(None) => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => return Ok(Some(Err(TOO_LARGE))),
            Err(error) => return Err(error),
        };
        let Ok(text) = String::from_utf8(line) else {
            return Ok(Some(Err(BAD_REQUEST)));
        };
        let text = text.trim_end_matches(['\r', '\n']);
        if text.is_empty() {
            return Ok(Some(parse(&lines)));
        }
        if lines.len() > MOST_FIELDS {
            return Ok(Some(Err(TOO_LARGE)));
        }
        lines.push(text.to_owned());
    }
}

fn parse(lines: &[String]) -> Result<Request, Refusal> {
    let (first, fields) = lines.split_first().ok_or(BAD_REQUEST)?;
    let words: Vec<&str> = first.split(' ').collect();
    let [method, target, version] = words.as_slice() else {
        return Err(BAD_REQUEST);
    };
    let mut keep_alive = match *version {
        "HTTP/1.1" => true,
        "HTTP/1.0" => false,
        _ => return Err(VERSION),
    };
    let mut length = None;
    for field in fields {
        let (name, value) = field.split_once(':').ok_or(BAD_REQUEST)?;
        let value = value.trim().to_ascii_lowercase();
        match name.to_ascii_lowercase().as_str() {
            "connection" if value == "close" => keep_alive = false,
            "connection" if value == "keep-alive" => keep_alive = true,
            // Two lengths, or none that is known: where the next request begins would be a guess.
            "content-length" if length.is_some() => return Err(BAD_REQUEST),
            "content-length" => length = Some(value.parse().map_err(|_| BAD_REQUEST)?),
            "transfer-encoding" => return Err(BAD_REQUEST),
            _ => {}
        }
    }
    let body = match (*method, length) {
        ("GET", None | Some(0)) => None,
        ("GET", Some(_)) => return Err(BAD_REQUEST),
        ("POST", Some(length)) => Some(length),
        ("POST", None) => return Err(NO_LENGTH),
        _ => return Err(METHOD),
    };
    Ok(Request {
        target: (*target).to_owned(),
        keep_alive,
        body,
    })
}

/// Head and text leave in one write, so that a small answer is one segment.
fn write_page(mut stream: &TcpStream, page: &Page, keep_alive: bool) -> io::Result<()> {
    let length = match &page.body {
        Body::Text(text) => text.len() as u64,
        Body::Large { chunks } => chunks * CHUNK as u64,
    };
    let connection = if keep_alive { "keep-alive" } else { "close" };
    let mut head = format!(
        "HTTP/1.1 {}\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\nConnection: {connection}\r\n\r\n",
        page.status
    );
    match &page.body {
        Body::Text(text) => {
            head.push_str(text);
            stream.write_all(head.as_bytes())
        }
        Body::Large { chunks } => {
            stream.write_all(head.as_bytes())?;
            large::write(stream, *chunks)
        }
    }
}

#[cfg(test)]
mod tests;
