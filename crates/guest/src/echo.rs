//! Echo over TCP and UDP (RFC 862).

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpStream, UdpSocket};

use crate::stats::Stats;

/// The longest UDP payload over IPv4.
const LONGEST_DATAGRAM: usize = 65507;

/// Sends back what a connection brings until the client ends it.
pub fn serve(mut stream: &TcpStream, stats: &Stats) -> io::Result<()> {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let length = match stream.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(length) => length,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        stats.echo_bytes.add(length as u64);
        stream.write_all(buffer.get(..length).unwrap_or_default())?;
    }
}

/// Sends back every datagram, for ever. One that cannot be sent is lost, as UDP may.
pub fn datagrams(socket: &UdpSocket, stats: &Stats) {
    let mut buffer = vec![0; LONGEST_DATAGRAM];
    loop {
        let Ok((length, sender)) = socket.recv_from(&mut buffer) else {
            continue;
        };
        stats.echo_datagrams.add(1);
        let _ = socket.send_to(buffer.get(..length).unwrap_or_default(), sender);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::tests::connect;
    use std::sync::Arc;
    use std::time::Duration;

    #[test]
    fn a_connection_gets_back_every_byte() {
        let stats = Arc::new(Stats::default());
        let counted = Arc::clone(&stats);
        let address = connect::listen(move |stream| serve(stream, &counted));
        let text = "abc\n".repeat(20_000);
        assert_eq!(connect::talk(address, text.as_bytes()), text);
        assert_eq!(stats.echo_bytes.get(), 80_000);
    }

    #[test]
    fn a_datagram_comes_back_whole_even_when_empty_or_large() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.connect(server.local_addr().unwrap()).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        std::thread::spawn(move || datagrams(&server, &Stats::default()));
        for size in [0, 1, 1400, 60_000] {
            client.send(&vec![7; size]).unwrap();
            let mut buffer = vec![0; LONGEST_DATAGRAM];
            let length = client.recv(&mut buffer).unwrap();
            assert_eq!(buffer[..length], vec![7; size]);
        }
    }
}
