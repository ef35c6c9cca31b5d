//! Files that the configuration names: whether they are there and hold what they should.

use std::path::Path;

use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};

use crate::config::{CertificateFiles, Config, Credential, Jwks, Problem, Realm, Service};

/// Certificates, keys and CAs: without them nothing can start.
pub(super) fn check(config: &Config) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (index, listener) in config.listeners.iter().enumerate() {
        let Some(ssl) = &listener.ssl else { continue };
        for (number, files) in ssl.certificates.iter().enumerate() {
            let path = match number.checked_sub(1) {
                None => format!("listeners.{index}.ssl"),
                Some(more) => format!("listeners.{index}.ssl.certificates.{more}"),
            };
            pair(files, &path, &mut problems);
        }
        for (number, file) in ssl.certificate_authorities.iter().enumerate() {
            certificates(file, &format!("listeners.{index}.ssl.certificate_authorities.{number}"), &mut problems);
        }
    }
    let ssl = &config.upstream.ssl;
    for (number, file) in ssl.certificate_authorities.iter().enumerate() {
        certificates(file, &format!("upstream.ssl.certificate_authorities.{number}"), &mut problems);
    }
    if let Some(files) = &ssl.client {
        pair(files, "upstream.ssl", &mut problems);
    }
    for (path, jwt) in config.signing() {
        readable(&jwt.key_file, &format!("{path}.key_file"), &mut problems);
    }
    problems
}

/// Files that may appear later, so that a server starts without them: `check` tells, `serve` does not.
pub(super) fn check_late(config: &Config) -> Vec<Problem> {
    let mut problems = Vec::new();
    let listeners = config.listeners.iter().enumerate().filter_map(|(index, listener)| {
        listener.credential.as_ref().map(|credential| (format!("listeners.{index}.credential"), credential))
    });
    for (path, credential) in listeners.chain([("upstream.credential".to_owned(), &config.upstream.credential)]) {
        for (key, file) in credential_files(credential) {
            readable(file, &format!("{path}.{key}"), &mut problems);
        }
    }
    for (index, realm) in config.authentication.realms.iter().enumerate() {
        match realm {
            Realm::File { path, .. } => {
                readable(path, &format!("authentication.realms.{index}.path"), &mut problems);
            }
            Realm::Jwt(jwt) => {
                if let Jwks::File(file) = &jwt.jwks {
                    readable(file, &format!("authentication.realms.{index}.jwks"), &mut problems);
                }
            }
            Realm::Cluster { .. } | Realm::Native { .. } | Realm::Pki { .. } | Realm::Reserved => {}
        }
    }
    if let Some(file) = &config.store.master_key_file {
        readable(file, "store.master_key_file", &mut problems);
    }
    problems
}

fn credential_files(credential: &Credential) -> Vec<(&'static str, &Path)> {
    match credential {
        Credential::ApiKey { api_key_file } => vec![("api_key_file", api_key_file)],
        Credential::Basic { password_file, .. } => vec![("password_file", password_file)],
        Credential::Bearer { token_file } => vec![("token_file", token_file)],
        Credential::None | Credential::Passthrough => Vec::new(),
        Credential::Oauth2(oauth2) => [
            ("client_secret_file", &oauth2.client_secret_file),
            ("password_file", &oauth2.password_file),
            ("refresh_token_file", &oauth2.refresh_token_file),
        ]
        .into_iter()
        .filter_map(|(key, file)| Some((key, file.as_deref()?)))
        .collect(),
        Credential::Session { service: Service::ApiKey { api_key_file } } => {
            vec![("service.api_key_file", api_key_file)]
        }
        Credential::Session { service: Service::Basic { password_file, .. } } => {
            vec![("service.password_file", password_file)]
        }
    }
}

fn pair(files: &CertificateFiles, path: &str, problems: &mut Vec<Problem>) {
    certificates(&files.certificate, &format!("{path}.certificate"), problems);
    let key = format!("{path}.key");
    // The parser's own error is not shown: it might quote the file.
    if readable(&files.key, &key, problems) && PrivateKeyDer::from_pem_file(&files.key).is_err() {
        problems.push(Problem::at(&key, "the file holds no unencrypted private key in PEM"));
    }
}

fn certificates(file: &Path, path: &str, problems: &mut Vec<Problem>) {
    if !readable(file, path, problems) {
        return;
    }
    let found = CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .is_ok_and(|certificates| !certificates.is_empty());
    if !found {
        problems.push(Problem::at(path, "the file holds no certificates in PEM"));
    }
}

fn readable(file: &Path, path: &str, problems: &mut Vec<Problem>) -> bool {
    match std::fs::File::open(file).and_then(|file| file.metadata()) {
        Ok(metadata) if metadata.is_file() => return true,
        Ok(_) => problems.push(Problem::at(path, "is no file")),
        Err(error) => problems.push(Problem::at(path, format!("cannot be read: {error}"))),
    }
    false
}
