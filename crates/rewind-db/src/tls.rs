//! TLS to a database: verified against a bundle of authorities, or merely encrypted where none is given.

use rewind_core::{ErrorName, StepError};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use tokio::net::TcpStream;
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use tokio_postgres_rustls::MakeRustlsConnect;
use tokio_rustls::TlsConnector;

type Inner = <MakeRustlsConnect as MakeTlsConnect<TcpStream>>::TlsConnect;

/// The protection of sessions: the TLS settings that all of them share.
#[derive(Clone)]
pub(crate) struct Protection {
    config: ClientConfig,
    /// True if certificates are verified; then a server without TLS is refused too.
    pub(crate) verifies: bool,
}

impl Protection {
    /// Verifies certificates against the authorities in `pem`, or only encrypts where there is none.
    pub(crate) fn new(pem: Option<&[u8]>) -> Result<Self, StepError> {
        // Named here: the process-wide default is whichever of two libraries a dependency installs first.
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| StepError::bug("TLS could not be set up").detail(error))?;
        let config = match pem {
            Some(pem) => builder.with_root_certificates(authorities(pem)?).with_no_client_auth(),
            // RDS signs with authorities of its own, so the system's would refuse every server. Without a bundle the choice is
            // between this and no TLS at all; the report says `encrypted`, not `verified`.
            None => builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
                .with_no_client_auth(),
        };
        Ok(Self { config, verifies: pem.is_some() })
    }

    /// A connector for the server that presents itself as `name`, and its progress.
    pub(crate) fn connector(&self, name: &str) -> (Connector, Arc<Progress>) {
        // The driver has one error for a handshake that failed and a login that was refused; this tells them apart.
        let progress = Arc::new(Progress::default());
        let mut make = MakeRustlsConnect::new(self.config.clone());
        let Ok(inner) = <MakeRustlsConnect as MakeTlsConnect<TcpStream>>::make_tls_connect(&mut make, name);
        (Connector { inner, progress: progress.clone() }, progress)
    }

    /// Encrypts a connection whose server, presenting itself as `name`, has agreed to it.
    pub(crate) async fn encrypt(
        &self,
        stream: TcpStream,
        name: &str,
    ) -> std::io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
        let name = ServerName::try_from(name.to_owned()).map_err(std::io::Error::other)?;
        TlsConnector::from(Arc::new(self.config.clone())).connect(name, stream).await
    }
}

fn authorities(pem: &[u8]) -> Result<RootCertStore, StepError> {
    let unusable = |why: String| {
        StepError::new(ErrorName::Bug, format!("the CA bundle for databases cannot be used: {why}"))
            .changed("nothing was changed")
            .advice("point REWIND_DATABASE_CA_BUNDLE at a PEM file with the authorities of the database servers")
    };
    let certificates: Vec<CertificateDer<'static>> =
        CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(|error| unusable(error.to_string()))?;
    let mut store = RootCertStore::empty();
    // A bundle for all Regions may hold one that this library cannot read; the others are good nevertheless.
    let (added, _) = store.add_parsable_certificates(certificates);
    if added == 0 {
        return Err(unusable("it holds no certificate".to_owned()));
    }
    Ok(store)
}

/// The progress of the TLS handshake of one connection.
#[derive(Debug, Default)]
pub(crate) struct Progress(AtomicU8);

impl Progress {
    const STARTED: u8 = 1;
    const DONE: u8 = 2;

    /// The server offered TLS and the handshake failed.
    pub(crate) fn failed(&self) -> bool {
        self.0.load(Ordering::Acquire) == Self::STARTED
    }

    /// The session runs over TLS.
    pub(crate) fn done(&self) -> bool {
        self.0.load(Ordering::Acquire) == Self::DONE
    }
}

/// A TLS connector that records how far the handshake came.
pub(crate) struct Connector {
    inner: Inner,
    progress: Arc<Progress>,
}

impl TlsConnect<TcpStream> for Connector {
    type Stream = <Inner as TlsConnect<TcpStream>>::Stream;
    type Error = <Inner as TlsConnect<TcpStream>>::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Stream, Self::Error>> + Send>>;

    fn connect(self, stream: TcpStream) -> Self::Future {
        Box::pin(async move {
            self.progress.0.store(Progress::STARTED, Ordering::Release);
            let stream = self.inner.connect(stream).await?;
            self.progress.0.store(Progress::DONE, Ordering::Release);
            Ok(stream)
        })
    }
}

/// Accepts any certificate, and only makes sure that the server holds its key.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
