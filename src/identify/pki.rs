//! Who a client certificate names. The handshake has verified it already: only its subject and its time are read.
//!
//! By hand, for neither rustls nor webpki shows a subject, and a parser of certificates would bring ten crates to
//! walk six fields of a structure that webpki has found sound.

use jiff::{civil::DateTime, tz::TimeZone};

use crate::{der::Der, model::Timestamp};

/// What a certificate says.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// The subject as Elasticsearch writes it: most specific part first.
    pub dn: Box<str>,
    /// Its most specific common name, if any.
    pub cn: Option<Box<str>>,
    /// When it begins and ends to be valid.
    pub validity: (Timestamp, Timestamp),
}

impl Certificate {
    /// Reads a certificate in DER; `None` if it is none.
    #[must_use]
    pub fn read(der: &[u8]) -> Option<Self> {
        let (_, whole) = Der(der).next()?;
        let (_, signed) = Der(whole).next()?;
        let mut fields = Der(signed);
        // A version, where there is one, comes before the serial number.
        let (first, _) = fields.next()?;
        if first == VERSION {
            fields.next()?;
        }
        let (_algorithm, _issuer) = (fields.next()?, fields.next()?);
        let (_, validity) = fields.next()?;
        let (_, subject) = fields.next()?;
        let mut times = Der(validity).map(|(tag, text)| time(tag, text));
        let validity = (times.next()??, times.next()??);
        let (mut parts, mut cn) = (Vec::new(), None);
        for (_, set) in Der(subject) {
            let mut attributes = Vec::new();
            for (_, attribute) in Der(set) {
                let mut pair = Der(attribute);
                let ((_, oid), (tag, value)) = (pair.next()?, pair.next()?);
                let value = string(tag, value)?;
                attributes.push(format!("{}={}", keyword(oid)?, quoted(&value)));
                if oid == COMMON_NAME {
                    cn = Some(value.into_boxed_str()).filter(|name| !name.is_empty());
                }
            }
            parts.push(attributes.join(" + "));
        }
        parts.reverse();
        Some(Self { dn: parts.join(", ").into(), cn, validity })
    }
}

/// `UTCTime` or `GeneralizedTime`, both to the second and in UTC, as RFC 5280 asks.
fn time(tag: u8, text: &[u8]) -> Option<Timestamp> {
    let text = std::str::from_utf8(text).ok()?;
    let full = match (tag, text.get(..2)?) {
        (UTC_TIME, year) if year < "50" => format!("20{text}"),
        (UTC_TIME, _) => format!("19{text}"),
        _ => text.to_owned(),
    };
    let time = DateTime::strptime("%Y%m%d%H%M%SZ", full).ok()?.to_zoned(TimeZone::UTC).ok()?;
    // What began before 1970 began long ago.
    Some(Timestamp::from_millis(u64::try_from(time.timestamp().as_millisecond()).unwrap_or_default()))
}

/// A text of any of the kinds that names are written in.
fn string(tag: u8, bytes: &[u8]) -> Option<String> {
    match tag {
        BMP_STRING => {
            let (units, rest) = bytes.as_chunks::<2>();
            let text = String::from_utf16(&units.iter().map(|unit| u16::from_be_bytes(*unit)).collect::<Vec<_>>()).ok();
            text.filter(|_| rest.is_empty())
        }
        T61_STRING => Some(bytes.iter().copied().map(char::from).collect()),
        UTF8_STRING | PRINTABLE_STRING | IA5_STRING => std::str::from_utf8(bytes).ok().map(str::to_owned),
        _ => None,
    }
}

/// Elasticsearch's word for the type of an attribute.
fn keyword(oid: &[u8]) -> Option<String> {
    let known = match oid {
        [0x55, 4, 3] => "CN",
        [0x55, 4, 4] => "SURNAME",
        [0x55, 4, 5] => "SERIALNUMBER",
        [0x55, 4, 6] => "C",
        [0x55, 4, 7] => "L",
        [0x55, 4, 8] => "ST",
        [0x55, 4, 9] => "STREET",
        [0x55, 4, 10] => "O",
        [0x55, 4, 11] => "OU",
        [0x55, 4, 12] => "T",
        [0x55, 4, 42] => "GIVENNAME",
        [0x55, 4, 43] => "INITIALS",
        [0x55, 4, 44] => "GENERATION",
        [0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 1] => "UID",
        [0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 25] => "DC",
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 1] => "EMAILADDRESS",
        _ => return dotted(oid),
    };
    Some(known.to_owned())
}

fn dotted(oid: &[u8]) -> Option<String> {
    let mut numbers = Vec::new();
    let mut number = 0_u64;
    for byte in oid {
        number = number.checked_mul(128)? + u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            numbers.push(std::mem::take(&mut number));
        }
    }
    let (first, rest) = numbers.split_first()?;
    let root = (first / 40).min(2);
    let mut text = format!("OID.{root}.{}", first - root * 40);
    for number in rest {
        text.push('.');
        text.push_str(&number.to_string());
    }
    Some(text)
}

/// In quotes where it could be taken for more than one value.
fn quoted(value: &str) -> String {
    let plain = !value.is_empty() && value.trim() == value && !value.contains(SPECIAL);
    if plain { value.to_owned() } else { format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"")) }
}

const VERSION: u8 = 0xa0;
const COMMON_NAME: &[u8] = &[0x55, 4, 3];
const SPECIAL: &[char] = &[',', '+', '=', '\n', '<', '>', '#', ';', '\\', '"'];
const UTF8_STRING: u8 = 0x0c;
const PRINTABLE_STRING: u8 = 0x13;
const T61_STRING: u8 = 0x14;
const IA5_STRING: u8 = 0x16;
const UTC_TIME: u8 = 0x17;
const BMP_STRING: u8 = 0x1e;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rcgen::DnType;

    use super::*;

    fn certificate(names: &[(DnType, &str)]) -> Vec<u8> {
        let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        for (kind, value) in names {
            params.distinguished_name.push(kind.clone(), *value);
        }
        params.not_before = rcgen::date_time_ymd(2020, 1, 2);
        params.not_after = rcgen::date_time_ymd(2060, 1, 2);
        params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn the_subject_is_written_as_elasticsearch_writes_it() {
        let der = certificate(&[
            (DnType::CountryName, "DE"),
            (DnType::OrganizationName, "Acme, Inc."),
            (DnType::CustomDnType(vec![1, 2, 840, 1]), "odd"),
            (DnType::CommonName, "\u{dc}ber"),
        ]);
        let certificate = Certificate::read(&der).unwrap();
        assert_eq!(&*certificate.dn, "CN=\u{dc}ber, OID.1.2.840.1=odd, O=\"Acme, Inc.\", C=DE");
        assert_eq!(certificate.cn.as_deref(), Some("\u{dc}ber"));
    }

    #[test]
    fn a_comma_in_a_name_makes_no_second_name() {
        let certificate = Certificate::read(&certificate(&[(DnType::CommonName, "x, CN=admin")])).unwrap();
        assert_eq!(certificate.cn.as_deref(), Some("x, CN=admin"));
        assert_eq!(&*certificate.dn, "CN=\"x, CN=admin\"");
    }

    #[test]
    fn its_time_is_read_in_both_forms() {
        let (from, to) = Certificate::read(&certificate(&[])).unwrap().validity;
        assert_eq!((from.as_millis(), to.as_millis()), (1_577_923_200_000, 2_840_227_200_000));
    }

    #[test]
    fn a_subject_may_have_no_common_name() {
        let certificate = Certificate::read(&certificate(&[(DnType::OrganizationName, "o")])).unwrap();
        assert_eq!((certificate.cn, &*certificate.dn), (None, "O=o"));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), at in 0..2000_usize, byte: u8) {
            let _ = Certificate::read(&bytes);
            let mut der = certificate(&[(DnType::CommonName, "a")]);
            if let Some(place) = der.get_mut(at) {
                *place = byte;
            }
            let _ = Certificate::read(&der);
        }
    }
}
