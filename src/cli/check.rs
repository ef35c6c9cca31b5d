//! `searchgate check`: tells everything that is wrong with a configuration without touching the network.

use std::{io::Write, path::PathBuf};

use crate::config::{Config, Environment, Problems};

/// Why a configuration was not found to be good.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// It is bad: exit code 78.
    #[error(transparent)]
    Bad(#[from] Problems),
    /// Nobody reads the answer.
    #[error("cannot print")]
    Print(#[source] std::io::Error),
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
    if print_effective {
        output.write_all(config.to_yaml().as_bytes()).map_err(CheckError::Print)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn a_credential_file_that_is_not_there_is_told() {
        let error = checked("upstream: {credential: {kind: bearer, token_file: /nowhere/token}}", false).unwrap_err();
        assert!(error.contains("searchgate.yml:1:51: upstream.credential.token_file: cannot be read"), "{error}");
    }
}
