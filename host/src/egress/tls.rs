//! Whom to trust, and which TLS to speak: what the system trusts, TLS 1.2 and 1.3, by one library of cryptography.

use std::sync::{Arc, OnceLock};

use connector_protocol::{Error, ErrorKind, Result};
use rustls::{ClientConfig, crypto::aws_lc_rs, pki_types::CertificateDer};
use rustls_platform_verifier::Verifier;

/// What clients need to speak TLS. The system's certificates are read once, when the first client needs them.
#[derive(Default)]
pub(super) struct Trust {
    config: OnceLock<ClientConfig>,
    /// Who is trusted besides those whom the system trusts.
    roots: Vec<CertificateDer<'static>>,
}

impl Trust {
    #[cfg(test)]
    pub(super) fn with(roots: Vec<CertificateDer<'static>>) -> Self {
        Self { config: OnceLock::new(), roots }
    }

    /// The settings of a client that offers these protocols, the preferred one first.
    ///
    /// # Errors
    ///
    /// If the system's certificates cannot be read.
    pub(super) fn config(&self, protocols: &[&[u8]]) -> Result<ClientConfig> {
        let config = match self.config.get() {
            Some(config) => config,
            None => {
                let config = self.read()?;
                self.config.get_or_init(|| config)
            }
        };
        let mut config = config.clone();
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        Ok(config)
    }

    fn read(&self) -> Result<ClientConfig> {
        let unusable = |error: rustls::Error| {
            Error::new(ErrorKind::Internal, format!("TLS cannot be spoken: {error}"))
                .hint("see that the system's certificates are installed (the package ca-certificates)")
        };
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier = Verifier::new_with_extra_roots(self.roots.iter().cloned(), provider.clone());
        Ok(ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(unusable)?
            // So it is called because a verifier of one's own may verify nothing. This one is the system's.
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier.map_err(unusable)?))
            .with_no_client_auth())
    }
}
