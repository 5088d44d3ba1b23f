// SPDX-License-Identifier: Apache-2.0

//! What differs between the ages of rustls in setting it up: keys without types, and the choice of versions.

use std::path::Path;
use std::sync::Arc;

use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::Failure;

fn read(folder: &str, name: &str) -> Result<Vec<u8>, Failure> {
    Ok(std::fs::read(Path::new(folder).join(name))?)
}

const HTTP1: &[u8] = b"http/1.1";
const HTTP2: &[u8] = b"h2";

static TLS12: [&rustls::SupportedProtocolVersion; 1] = [&rustls::version::TLS12];

fn versions(tls12: bool) -> &'static [&'static rustls::SupportedProtocolVersion] {
    if tls12 { &TLS12 } else { rustls::ALL_VERSIONS }
}

#[cfg(feature = "plain_keys")]
pub fn acceptor(folder: &str) -> Result<TlsAcceptor, Failure> {
    let mut config = rustls::ServerConfig::builder().with_safe_defaults().with_no_client_auth().with_single_cert(
        vec![rustls::Certificate(read(folder, "leaf.der")?)],
        rustls::PrivateKey(read(folder, "key.der")?),
    )?;
    config.alpn_protocols = vec![HTTP2.to_vec(), HTTP1.to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

#[cfg(feature = "plain_keys")]
pub fn connector(folder: &str, tls12: bool, http2: bool) -> Result<TlsConnector, Failure> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(&rustls::Certificate(read(folder, "ca.der")?))?;
    let mut config = rustls::ClientConfig::builder()
        .with_safe_default_cipher_suites()
        .with_safe_default_kx_groups()
        .with_protocol_versions(versions(tls12))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![if http2 { HTTP2 } else { HTTP1 }.to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

#[cfg(feature = "plain_keys")]
pub fn name() -> rustls::ServerName {
    rustls::ServerName::try_from("localhost").expect("a name")
}

#[cfg(not(feature = "plain_keys"))]
pub fn acceptor(folder: &str) -> Result<TlsAcceptor, Failure> {
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(read(folder, "key.der")?);
    let mut config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![read(folder, "leaf.der")?.into()], key.into())?;
    config.alpn_protocols = vec![HTTP2.to_vec(), HTTP1.to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

#[cfg(not(feature = "plain_keys"))]
pub fn connector(folder: &str, tls12: bool, http2: bool) -> Result<TlsConnector, Failure> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(read(folder, "ca.der")?.into())?;
    let mut config = rustls::ClientConfig::builder_with_protocol_versions(versions(tls12))
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![if http2 { HTTP2 } else { HTTP1 }.to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

#[cfg(not(feature = "plain_keys"))]
pub fn name() -> rustls::pki_types::ServerName<'static> {
    rustls::pki_types::ServerName::try_from("localhost").expect("a name")
}
