//! The stack's own certificate authority and the certificates of its servers; it never touches the system's trust store.

use crate::private;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// An error of the authority or of a certificate.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The files in the stack's directory can't be read or written.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// The error of the system.
        source: std::io::Error,
    },
    /// A key or certificate could not be made or read back.
    #[error("the stack's certificate authority is unusable ({0}): remove ca.pem and ca-key.pem to have a new one made")]
    Certificate(#[from] rcgen::Error),
    /// The TLS library refuses the authority.
    #[error("the stack's certificate authority is unusable: {0}")]
    Rustls(#[from] rustls::Error),
    /// `ca.pem` holds no certificate.
    #[error("the stack's ca.pem can't be read: {0}")]
    Pem(#[from] rustls::pki_types::pem::Error),
}

/// A certificate with its key, both as PEM.
#[derive(Debug)]
pub struct ServerCertificate {
    /// The certificate.
    pub certificate: String,
    /// The private key.
    pub key: String,
}

/// Signs the servers' certificates. Clients trust `ca.pem`.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: PathBuf,
    client: Arc<rustls::ClientConfig>,
}

impl Authority {
    /// Reads the authority from `dir`, or creates it there.
    pub fn open(dir: &Path) -> Result<Self, TlsError> {
        let pem = dir.join("ca.pem");
        let key_file = dir.join("ca-key.pem");
        if !(pem.exists() && key_file.exists()) {
            let key = KeyPair::generate()?;
            let certificate = authority()?.self_signed(&key)?;
            // The key first: a certificate without its key would be taken for a whole authority at the next start.
            write(&key_file, &key.serialize_pem(), 0o600)?;
            write(&pem, &certificate.pem(), 0o644)?;
            // Despite the mask of a stack: the servers of databases, which may run as another user, verify each other by it.
            private::set_mode(&pem, 0o644).map_err(|source| TlsError::File { path: pem.clone(), source })?;
        }
        let key = fs::read_to_string(&key_file).map_err(|source| TlsError::File { path: key_file, source })?;
        // The issuer is rebuilt from the same name and key, so what it signs chains to the certificate on disk.
        let issuer = Issuer::new(authority()?, KeyPair::from_pem(&key)?);
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(&pem)?)?;
        // Named, not the process-wide default: linked with aws-lc as well, rustls would refuse to choose between the two.
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let client = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { issuer, pem, client: Arc::new(client) })
    }

    /// The path of the authority's certificate.
    #[must_use]
    pub fn pem(&self) -> &Path {
        &self.pem
    }

    /// The settings of a client that trusts this authority and no other.
    #[must_use]
    pub fn client(&self) -> rustls::ClientConfig {
        (*self.client).clone()
    }

    /// Signs a certificate for a server that is reached under `names`.
    pub fn server(&self, names: Vec<String>) -> Result<ServerCertificate, TlsError> {
        let key = KeyPair::generate()?;
        let common_name = names.first().cloned().unwrap_or_default();
        let mut params = CertificateParams::new(names)?;
        // X.509 allows 64 characters here, and clients read the alternative names anyway.
        params.distinguished_name.push(DnType::CommonName, common_name.chars().take(64).collect::<String>());
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        // OpenSSL finds the issuer by it, and refuses the chain without it when verification is strict.
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(ServerCertificate { certificate: certificate.pem(), key: key.serialize_pem() })
    }
}

fn authority() -> Result<CertificateParams, TlsError> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name.push(DnType::CommonName, "aurora-rewind local RDS CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

fn write(path: &Path, text: &str, mode: u32) -> Result<(), TlsError> {
    let failed = |source| TlsError::File { path: path.to_owned(), source };
    let mut file =
        fs::OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(path).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)
}
