//! Certificates and the TLS configuration: TLS 1.3 only, both sides show a certificate of the given CA.

use crate::session::Session;
use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, ring};
use rustls::server::WebPkiClientVerifier;
use rustls::version::TLS13;
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use thiserror::Error;

/// What is wrong with a file or a name.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{}: {error}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// A file does not hold what it should.
    #[error("{}: {why}", path.display())]
    BadFile {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// A node's name must be a valid DNS name, for that is how its certificate carries it.
    #[error("{0:?} cannot be a node's name: not a DNS name")]
    BadName(String),
    /// The TLS library refuses to begin.
    #[error("TLS cannot begin: {0}")]
    Refused(#[from] rustls::Error),
}

/// Our certificate and key, and the CA that the peer's certificate must come from.
///
/// Certificates carry the node's name as a DNS subject alternative name (RFC 5280, 4.2.1.6) and, where they
/// limit their use, allow both client and server authentication.
#[derive(Clone, Debug)]
pub struct Tls {
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
}

impl Tls {
    /// Reads the PEM files.
    ///
    /// # Errors
    /// Names the file and says what is wrong with it.
    pub fn load(ca: &Path, cert: &Path, key: &Path) -> Result<Self, TlsError> {
        let roots = Arc::new(read_roots(ca)?);
        let chain = read_certificates(cert)?;
        let private = read_key(key)?;
        let provider = Arc::new(ring::default_provider());
        let client = client_config(&provider, &roots, &chain, private.clone_key())
            .map_err(|error| bad(key, format!("does not fit {}: {error}", cert.display())))?;
        let server = server_config(&provider, &roots, chain, private).map_err(|why| bad(ca, why))?;
        Ok(Self {
            client: Arc::new(client),
            server: Arc::new(server),
        })
    }

    /// A session towards `peer`, begun by us.
    ///
    /// # Errors
    /// `peer` is no DNS name.
    pub fn client(&self, peer: &str) -> Result<Session, TlsError> {
        let name = node_name(peer)?;
        let connection = ClientConnection::new(Arc::clone(&self.client), name.clone())?;
        Ok(Session::new(connection.into(), name))
    }

    /// A session begun by whoever connected; it must turn out to be `peer`.
    ///
    /// # Errors
    /// `peer` is no DNS name.
    pub fn server(&self, peer: &str) -> Result<Session, TlsError> {
        let name = node_name(peer)?;
        Ok(Session::new(
            ServerConnection::new(Arc::clone(&self.server))?.into(),
            name,
        ))
    }
}

// No resumption on either side: every session shows and checks both certificates.
fn client_config(
    provider: &Arc<CryptoProvider>,
    roots: &Arc<RootCertStore>,
    chain: &[CertificateDer<'static>],
    key: PrivateKeyDer<'static>,
) -> Result<ClientConfig, rustls::Error> {
    let mut config = ClientConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(&[&TLS13])?
        .with_root_certificates(Arc::clone(roots))
        .with_client_auth_cert(chain.to_vec(), key)?;
    config.resumption = Resumption::disabled();
    Ok(config)
}

fn server_config(
    provider: &Arc<CryptoProvider>,
    roots: &Arc<RootCertStore>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ServerConfig, String> {
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::clone(roots), Arc::clone(provider))
        .build()
        .map_err(|error| error.to_string())?;
    let mut config = ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(&[&TLS13])
        .map_err(|error| error.to_string())?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)
        .map_err(|error| error.to_string())?;
    config.send_tls13_tickets = 0;
    Ok(config)
}

fn read_roots(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in read_certificates(path)? {
        roots
            .add(certificate)
            .map_err(|error| bad(path, error.to_string()))?;
    }
    Ok(roots)
}

fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&read(path)?).collect();
    let found = found.map_err(|error| bad(path, error.to_string()))?;
    if found.is_empty() {
        return Err(bad(path, "holds no certificate in PEM form".into()));
    }
    Ok(found)
}

fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(&read(path)?)
        .map_err(|error| bad(path, format!("holds no private key in PEM form: {error}")))
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|error| TlsError::Unreadable {
        path: path.into(),
        error,
    })
}

fn node_name(name: &str) -> Result<ServerName<'static>, TlsError> {
    match ServerName::try_from(name.to_owned()) {
        Ok(found @ ServerName::DnsName(_)) => Ok(found),
        _ => Err(TlsError::BadName(name.into())),
    }
}

fn bad(path: &Path, why: String) -> TlsError {
    TlsError::BadFile {
        path: path.into(),
        why,
    }
}
