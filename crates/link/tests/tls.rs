//! Real handshakes in memory: who is let in, who is not, and what the errors say.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use colo_link::testing::TestCa;
use colo_link::{Decoder, Message, Outgoing, Progress, Session, SessionError, Tls};
use std::fs;

struct Side {
    session: Session,
    decoder: Decoder,
    queue: Outgoing,
}

impl Side {
    fn new(session: Session) -> Self {
        Self {
            session,
            decoder: Decoder::default(),
            queue: Outgoing::new(1 << 20),
        }
    }

    fn output(&mut self) -> Vec<u8> {
        let mut wire = Vec::new();
        let progress = self
            .session
            .flush(&mut wire, &mut self.queue, usize::MAX, &mut |_| None)
            .unwrap();
        assert_eq!(progress, Progress::Done);
        wire
    }
}

/// Lets both talk until neither has anything to say, or one ends it.
fn converse(client: &mut Side, server: &mut Side) -> Result<(), SessionError> {
    loop {
        let from_client = client.output();
        let result = server.session.receive(&from_client, &mut server.decoder);
        let from_server = server.output();
        client.session.receive(&from_server, &mut client.decoder)?;
        result?;
        if from_client.is_empty() && from_server.is_empty() {
            return Ok(());
        }
    }
}

fn pair(client: (&Tls, &str), server: (&Tls, &str)) -> (Side, Side) {
    (
        Side::new(client.0.client(client.1).unwrap()),
        Side::new(server.0.server(server.1).unwrap()),
    )
}

#[test]
fn two_nodes_of_one_ca_talk() {
    let ca = TestCa::new().unwrap();
    let (alpha, beta) = (ca.node("alpha").unwrap(), ca.node("beta").unwrap());
    let (mut client, mut server) = pair((&alpha, "beta"), (&beta, "alpha"));
    client.queue.push(&Message::Cut { checkpoint: 7 }).unwrap();
    server.queue.push(&Message::Control(&[9; 200_000])).unwrap();
    converse(&mut client, &mut server).unwrap();
    assert!(client.session.is_established() && server.session.is_established());
    assert_eq!(
        server.decoder.next_message(),
        Ok(Some(Message::Cut { checkpoint: 7 }))
    );
    assert_eq!(
        client.decoder.next_message(),
        Ok(Some(Message::Control(&[9; 200_000])))
    );
}

#[test]
fn a_client_with_another_nodes_certificate_is_refused_by_name() {
    let ca = TestCa::new().unwrap();
    let (gamma, beta) = (ca.node("gamma").unwrap(), ca.node("beta").unwrap());
    let (mut client, mut server) = pair((&gamma, "beta"), (&beta, "alpha"));
    client.queue.push(&Message::Cut { checkpoint: 7 }).unwrap();
    let error = converse(&mut client, &mut server).unwrap_err();
    assert!(
        matches!(&error, SessionError::WrongPeer(name) if name == "alpha"),
        "{error}"
    );
    assert_eq!(server.decoder.next_message(), Ok(None), "nothing it sent counts");
}

#[test]
fn a_server_with_another_nodes_certificate_is_refused() {
    let ca = TestCa::new().unwrap();
    let (alpha, gamma) = (ca.node("alpha").unwrap(), ca.node("gamma").unwrap());
    let (mut client, mut server) = pair((&alpha, "beta"), (&gamma, "alpha"));
    let error = converse(&mut client, &mut server).unwrap_err();
    assert!(matches!(&error, SessionError::Tls(_)), "{error}");
    assert!(!client.session.is_established());
}

#[test]
fn a_node_of_another_ca_is_refused() {
    let (ours, theirs) = (TestCa::new().unwrap(), TestCa::new().unwrap());
    let (alpha, beta) = (theirs.node("alpha").unwrap(), ours.node("beta").unwrap());
    let (mut client, mut server) = pair((&alpha, "beta"), (&beta, "alpha"));
    assert!(converse(&mut client, &mut server).is_err());
    assert!(!server.session.is_established());
}

#[test]
fn bytes_that_are_not_tls_end_the_session() {
    let ca = TestCa::new().unwrap();
    let mut session = ca.node("beta").unwrap().server("alpha").unwrap();
    let error = session
        .receive(b"GET / HTTP/1.1\r\n\r\n", &mut Decoder::default())
        .unwrap_err();
    assert!(matches!(error, SessionError::Tls(_)), "{error}");
}

#[test]
fn errors_name_the_file() {
    let ca = TestCa::new().unwrap();
    ca.node("alpha").unwrap();
    ca.node("beta").unwrap();
    let (root, cert, key) = (ca.path("ca.pem"), ca.path("alpha.pem"), ca.path("alpha.key"));
    fs::write(ca.path("empty"), "").unwrap();
    let cases = [
        (
            ca.path("missing"),
            cert.clone(),
            key.clone(),
            "missing: No such file",
        ),
        (
            ca.path("empty"),
            cert.clone(),
            key.clone(),
            "empty: holds no certificate",
        ),
        (
            root.clone(),
            cert.clone(),
            ca.path("empty"),
            "empty: holds no private key",
        ),
        (root, cert, ca.path("beta.key"), "beta.key: does not fit"),
    ];
    for (root, cert, key, expected) in cases {
        let error = Tls::load(&root, &cert, &key).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn an_address_is_no_node_name() {
    let ca = TestCa::new().unwrap();
    assert!(ca.node("alpha").unwrap().client("10.0.0.1").is_err());
}
