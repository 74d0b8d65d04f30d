//! Throw-away certificates for tests: a CA and nodes of it, as PEM files in a folder.

use crate::tls::Tls;
use rcgen::{CertificateParams, CertifiedIssuer, KeyPair};
use std::error::Error;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

static FOLDERS: AtomicU64 = AtomicU64::new(0);

/// A CA in a folder of its own, which goes away with it.
pub struct TestCa {
    folder: PathBuf,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl TestCa {
    /// Makes key and certificate.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn new() -> Result<Self, Box<dyn Error>> {
        let unique = format!(
            "colo-ca-{}-{}",
            std::process::id(),
            FOLDERS.fetch_add(1, Ordering::Relaxed)
        );
        let folder = std::env::temp_dir().join(unique);
        fs::create_dir_all(&folder)?;
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        fs::write(folder.join("ca.pem"), issuer.pem())?;
        Ok(Self { folder, issuer })
    }

    /// Makes a node's certificate.
    ///
    /// # Errors
    /// The name is no DNS name, or the folder cannot be written.
    pub fn node(&self, name: &str) -> Result<Tls, Box<dyn Error>> {
        let key = KeyPair::generate()?;
        let certificate = CertificateParams::new(vec![name.to_owned()])?.signed_by(&key, &self.issuer)?;
        let cert_path = self.folder.join(format!("{name}.pem"));
        let key_path = self.folder.join(format!("{name}.key"));
        fs::write(&cert_path, certificate.pem())?;
        fs::write(&key_path, key.serialize_pem())?;
        Ok(Tls::load(&self.folder.join("ca.pem"), &cert_path, &key_path)?)
    }

    /// A file of the folder: `ca.pem`, `<node>.pem`, `<node>.key`.
    #[must_use]
    pub fn path(&self, file: &str) -> PathBuf {
        self.folder.join(file)
    }
}

impl Drop for TestCa {
    fn drop(&mut self) {
        // Left behind in the temporary folder at worst.
        let _ = fs::remove_dir_all(&self.folder);
    }
}
