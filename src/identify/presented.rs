//! The grammar of `Authorization` (API page section 2.1), read into credentials.

use std::sync::Arc;

use base64::{
    DecodeError, Engine as _,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use http::HeaderValue;
use zeroize::Zeroizing;

use crate::{
    identify::{IdentifyError, Refusal, error::Base64Error, pki::Certificate},
    model::KeyId,
    secret::SecretText,
};

/// What a caller presents.
#[derive(Clone, Debug)]
pub enum Presented {
    /// `ApiKey`.
    ApiKey {
        /// Before the first colon; not empty.
        id: KeyId,
        /// After it.
        secret: SecretText,
    },
    /// `Basic`.
    Basic {
        /// Before the first colon.
        username: Box<str>,
        /// After it.
        password: SecretText,
    },
    /// `Bearer`: opaque here.
    Bearer(SecretText),
    /// No header, but a certificate that the handshake verified.
    Certificate(Arc<Certificate>),
    /// No header, another scheme, or a scheme alone.
    Nothing,
}

impl Presented {
    /// Reads the value of a header, if there is one.
    ///
    /// # Errors
    ///
    /// Rows 2, 3 and 5 of section 2.4: a scheme that is known, and a value that it cannot have.
    pub fn read(value: Option<&[u8]>) -> Result<Self, IdentifyError> {
        let Some((scheme, rest)) = value.and_then(split) else { return Ok(Self::Nothing) };
        if scheme.eq_ignore_ascii_case(b"ApiKey") {
            let text = decode(rest).map_err(|error| IdentifyError::Refused(Refusal::KeyEncoding(error)))?;
            match pair(&text) {
                Some((id, secret)) if !id.is_empty() => Ok(Self::ApiKey { id: KeyId(id.into()), secret }),
                _ => Err(IdentifyError::Refused(Refusal::KeyValue)),
            }
        } else if scheme.eq_ignore_ascii_case(b"Basic") {
            let text = decode(rest.trim_ascii()).map_err(IdentifyError::BasicEncoding)?;
            let (username, password) = pair(&text).ok_or(IdentifyError::BasicValue)?;
            Ok(Self::Basic { username: username.into(), password })
        } else if scheme.eq_ignore_ascii_case(b"Bearer") {
            // What is not text is no token either, and is refused where tokens are.
            Ok(Self::Bearer(SecretText::new(String::from_utf8_lossy(rest).into_owned())))
        } else {
            Ok(Self::Nothing)
        }
    }
}

impl Presented {
    /// The header that shows the same, in the one form that searchgate writes; marked sensitive. None of a certificate, of
    /// nothing, and of a token that no header can carry.
    #[must_use]
    pub fn authorization(&self) -> Option<HeaderValue> {
        let text = match self {
            Self::ApiKey { id, secret } => encoded("ApiKey", &id.0, secret),
            Self::Basic { username, password } => encoded("Basic", username, password),
            Self::Bearer(token) => Zeroizing::new(format!("Bearer {}", token.expose())),
            Self::Certificate(_) | Self::Nothing => return None,
        };
        let mut header = HeaderValue::from_str(&text).ok().filter(|_| text.is_ascii())?;
        header.set_sensitive(true);
        Some(header)
    }
}

fn encoded(scheme: &str, name: &str, secret: &SecretText) -> Zeroizing<String> {
    let pair = Zeroizing::new(format!("{name}:{}", secret.expose()));
    let text = Zeroizing::new(BASE64.encode(pair.as_bytes()));
    Zeroizing::new(format!("{scheme} {}", *text))
}

/// Scheme and a rest that is not empty, apart by one space.
fn split(value: &[u8]) -> Option<(&[u8], &[u8])> {
    let space = value.iter().position(|byte| *byte == b' ')?;
    let (scheme, rest) = value.split_at_checked(space)?;
    rest.get(1..).filter(|rest| !rest.is_empty()).map(|rest| (scheme, rest))
}

/// Standard base64, as the original reads it.
///
/// # Errors
///
/// [`Base64Error`].
pub fn decode(text: &[u8]) -> Result<Zeroizing<Vec<u8>>, Base64Error> {
    // Before padding is looked at, as there.
    let foreign = |byte: &&u8| !byte.is_ascii_alphanumeric() && !matches!(byte, b'+' | b'/');
    if let Some(byte) = text.iter().find(foreign).filter(|byte| **byte != b'=') {
        return Err(Base64Error::Character(*byte));
    }
    if text.ends_with(b"=") && !text.len().is_multiple_of(4) {
        return Err(Base64Error::Padding); // optional, but whole where it stands
    }
    match BASE64.decode(text) {
        Ok(bytes) => Ok(Zeroizing::new(bytes)),
        Err(DecodeError::InvalidByte(_, b'=') | DecodeError::InvalidPadding) => Err(Base64Error::Padding),
        Err(DecodeError::InvalidByte(_, byte)) => Err(Base64Error::Character(byte)),
        Err(DecodeError::InvalidLength(_) | DecodeError::InvalidLastSymbol { .. }) => Err(Base64Error::Dangling),
    }
}

/// What stands before and after the first colon of a text.
fn pair(text: &[u8]) -> Option<(&str, SecretText)> {
    let (name, secret) = std::str::from_utf8(text).ok()?.split_once(':')?;
    Some((name, SecretText::new(secret.to_owned())))
}

/// Padding is optional, and what is left of the last character does not matter: so the Java runtime reads it.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD_NO_PAD;
    use proptest::prelude::*;

    use super::*;

    fn read(value: &str) -> Result<Presented, IdentifyError> {
        Presented::read(Some(value.as_bytes()))
    }

    fn encoded(scheme: &str, text: &str) -> String {
        format!("{scheme} {}", BASE64.encode(text))
    }

    /// The header that shows the same credentials.
    fn rendered(presented: &Presented) -> Option<String> {
        Some(presented.authorization()?.to_str().unwrap().to_owned())
    }

    fn basic(value: &str) -> (String, String) {
        match read(value) {
            Ok(Presented::Basic { username, password }) => (username.to_string(), password.expose().to_owned()),
            other => panic!("{value}: {other:?}"),
        }
    }

    fn api_key(value: &str) -> (String, String) {
        match read(value) {
            Ok(Presented::ApiKey { id, secret }) => (id.to_string(), secret.expose().to_owned()),
            other => panic!("{value}: {other:?}"),
        }
    }

    #[test]
    fn no_header_an_unknown_scheme_and_a_scheme_alone_present_nothing() {
        assert!(matches!(Presented::read(None), Ok(Presented::Nothing)));
        for value in ["", " ", "Basic", "Basic ", "ApiKey", "ApiKey ", "Bearer", "Bearer ", "Zzz abc", "Basic\tYTpi"] {
            assert!(matches!(read(value), Ok(Presented::Nothing)), "{value:?}");
        }
    }

    #[test]
    fn the_scheme_has_no_case() {
        for scheme in ["Basic", "basic", "BASIC", "bAsIc"] {
            assert_eq!(basic(&format!("{scheme} YTpi")), ("a".into(), "b".into()));
        }
        assert_eq!(api_key("apikey YTpi"), ("a".into(), "b".into()));
    }

    #[test]
    fn the_first_colon_divides() {
        assert_eq!(basic(&encoded("Basic", "a:b:c")), ("a".into(), "b:c".into()));
        assert_eq!(basic(&encoded("Basic", ":")), (String::new(), String::new()));
        assert_eq!(api_key(&encoded("ApiKey", "a:b:c")), ("a".into(), "b:c".into()));
        assert_eq!(api_key(&encoded("ApiKey", "a:")), ("a".into(), String::new()));
    }

    #[test]
    fn padding_is_optional_and_more_spaces_harm_basic_alone_not() {
        assert_eq!(basic("Basic YTpiYw=="), ("a".into(), "bc".into()));
        assert_eq!(basic("Basic YTpiYw"), ("a".into(), "bc".into()));
        assert_eq!(basic("Basic   YTpiYw== "), ("a".into(), "bc".into()));
        assert!(matches!(
            read("ApiKey  YTpi"),
            Err(IdentifyError::Refused(Refusal::KeyEncoding(Base64Error::Character(b' '))))
        ));
    }

    #[test]
    fn row_2_basic_that_is_not_base64_names_the_character() {
        let error = read("Basic !!!").unwrap_err();
        assert_eq!(error.to_string(), "invalid basic authentication header encoding");
        assert_eq!(error.caused_by().unwrap().to_string(), "Illegal base64 character 21");
    }

    #[test]
    fn row_3_basic_without_a_colon_is_no_value() {
        assert!(matches!(read(&encoded("Basic", "abc")), Err(IdentifyError::BasicValue)));
    }

    #[test]
    fn row_5_a_key_that_is_no_key_says_why() {
        for (value, why) in [
            ("ApiKey a:b".to_owned(), "API key: Illegal base64 character 3a"),
            ("ApiKey a-_b".to_owned(), "API key: Illegal base64 character 2d"),
            ("ApiKey YTpiY".to_owned(), "API key: Last unit does not have enough valid bits"),
            ("ApiKey YTpiYw=".to_owned(), "API key: Input byte array has wrong 4-byte ending unit"),
            (encoded("ApiKey", "abc"), "API key: invalid ApiKey value"),
            (encoded("ApiKey", ":secret"), "API key: invalid ApiKey value"),
        ] {
            let error = read(&value).unwrap_err();
            assert_eq!(error.additional().map(ToString::to_string).as_deref(), Some(why), "{value}");
        }
    }

    proptest! {
        #[test]
        fn no_header_panics_and_what_is_read_reads_the_same_when_written_again(
            value in proptest::collection::vec(any::<u8>(), 0..64),
            scheme in "(ApiKey|Basic|Bearer|[a-zA-Z]{0,8}) {0,2}",
        ) {
            for value in [value.clone(), [scheme.as_bytes(), &value].concat()] {
                if let Ok(presented) = Presented::read(Some(&value)) {
                    let again = rendered(&presented).map(|header| rendered(&read(&header).unwrap()));
                    prop_assert_eq!(again.flatten(), rendered(&presented));
                }
            }
        }

        #[test]
        fn credentials_survive_being_sent(name in "[^:]{1,12}", secret in ".{0,12}", padded: bool) {
            let text = format!("{name}:{secret}");
            let base64 = if padded { BASE64.encode(text) } else { STANDARD_NO_PAD.encode(text) };
            prop_assert_eq!(basic(&format!("basic {base64}")), (name.clone(), secret.clone()));
            prop_assert_eq!(api_key(&format!("APIKEY {base64}")), (name, secret));
        }
    }
}
