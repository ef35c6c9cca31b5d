//! `searchgate check`: tells everything that is wrong with a configuration without touching the network.

use std::{io::Write, path::PathBuf};

use crate::{
    config::{Config, Environment, Problems},
    forward::identity::{Identity, KeyError},
    listener::tls::{Reloading, ServerTlsError},
    upstream::tls::{ClientTlsError, client_tls},
};

/// Why a configuration was not found to be good.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// It is bad: exit code 78.
    #[error(transparent)]
    Bad(#[from] Problems),
    /// TLS material for the cluster that does not work: exit code 78.
    #[error("upstream.ssl")]
    ClientTls(#[from] ClientTlsError),
    /// A key that nothing can be signed with: exit code 78.
    #[error("identity `jwt`")]
    IdentityKey(#[from] KeyError),
    /// Nobody reads the answer.
    #[error("cannot print")]
    Print(#[source] std::io::Error),
    /// TLS material of a listener that does not work: exit code 78.
    #[error("listeners.ssl")]
    ServerTls(#[from] ServerTlsError),
}

/// Checks the configuration; prints it, secrets redacted, if that is wanted.
///
/// # Errors
///
/// [`CheckError`].
pub fn check(
    files: &[PathBuf],
    environment: &Environment,
    print_effective: bool,
    output: &mut impl Write,
) -> Result<(), CheckError> {
    let config = Config::check(files, environment)?;
    for listener in &config.listeners {
        if let Some(ssl) = &listener.ssl {
            Reloading::new(ssl.clone())?;
        }
    }
    let own = config.listeners.iter().filter_map(|listener| listener.identity.as_ref());
    for kind in own.chain([&config.upstream.identity]) {
        Identity::new(kind, 0)?;
    }
    if config.upstream.hosts.iter().any(|host| host.tls) {
        client_tls(&config.upstream.ssl)?;
    }
    if print_effective {
        output.write_all(config.to_yaml().as_bytes()).map_err(CheckError::Print)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listener::development;

    fn checked(yaml: &str, print_effective: bool) -> Result<String, String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("searchgate.yml");
        std::fs::write(&file, yaml).unwrap();
        let mut output = Vec::new();
        check(&[file], &Environment::default(), print_effective, &mut output)
            .map(|()| String::from_utf8(output).unwrap())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_good_configuration_prints_nothing_unless_asked() {
        assert_eq!(checked("tokens: {access_lifetime: 10m}", false), Ok(String::new()));
        assert!(checked("tokens: {access_lifetime: 10m}", true).unwrap().contains("access_lifetime: 10m\n"));
    }

    #[test]
    fn a_key_of_another_certificate_is_told() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (one, two) = (development::make(one.path()).unwrap(), development::make(two.path()).unwrap());
        let [certificate, key] = [one.leaf.certificate, two.leaf.key].map(|file| file.display().to_string());
        let listener = format!("{{address: \"127.0.0.1:0\", ssl: {{certificate: {certificate}, key: {key}}}}}");
        assert!(checked(&format!("listeners: [{listener}]"), false).is_err());
    }

    #[test]
    fn a_credential_file_that_is_not_there_is_told() {
        let error = checked("upstream: {credential: {kind: bearer, token_file: /nowhere/token}}", false).unwrap_err();
        assert!(error.contains("searchgate.yml:1:51: upstream.credential.token_file: cannot be read"), "{error}");
    }
}
