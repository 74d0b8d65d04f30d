//! The program inside the demo guest: small network services whose answers depend on nothing but what the client
//! sent, so that two copies of a VM agree. No clock, no random number, no date header reaches an answer, but for
//! `/random`, which is there to disagree.
//!
//! Port 80 HTTP (`http`), port 7 TCP and UDP echo (`echo`), port 7000 counter (`counter`), port 5001 bulk (`bulk`); over
//! IPv4 and IPv6.

use std::io;
use std::net::{Ipv6Addr, TcpListener, UdpSocket};
use std::process::ExitCode;
use std::sync::Arc;

mod bulk;
mod check;
mod counter;
mod echo;
mod http;
mod large;
mod line;
mod pages;
mod patterns;
mod serve;
mod sha256;
mod stats;
mod writer;

use pages::Site;
use serve::Slots;

/// Connections at a time, over all services.
const CONNECTIONS: usize = 1024;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("colo-guest: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Binds everything, says "ready" on standard output, serves for ever.
fn run() -> io::Result<()> {
    let (http, echo, counter, bulk) = (listen(80)?, listen(7)?, listen(7000)?, listen(5001)?);
    let datagrams = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 7))?;
    let slots = Arc::new(Slots::new(CONNECTIONS));
    let site = Arc::new(Site::default());
    let (counted, echoed, sent) = (Arc::clone(&site), Arc::clone(&site), Arc::clone(&site));
    let threads = [
        serve::spawn("http", http, Arc::clone(&slots), move |stream| {
            http::serve(stream, &site)
        })?,
        serve::spawn("counter", counter, Arc::clone(&slots), move |stream| {
            counter::serve(stream, &counted.stats)
        })?,
        serve::spawn("echo", echo, Arc::clone(&slots), move |stream| {
            echo::serve(stream, &echoed.stats)
        })?,
        serve::spawn("bulk", bulk, slots, bulk::serve)?,
        serve::spawn_plain("datagrams", move || echo::datagrams(&datagrams, &sent.stats))?,
    ];
    println!("colo-guest: ready");
    for thread in threads {
        if thread.join().is_err() {
            return Err(io::Error::other("a service ended"));
        }
    }
    Ok(())
}

/// IPv4 comes to the same socket (`bindv6only` is 0, the kernel's default).
fn listen(port: u16) -> io::Result<TcpListener> {
    TcpListener::bind((Ipv6Addr::UNSPECIFIED, port))
}
