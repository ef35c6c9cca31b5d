//! PROXY protocol, versions 1 and 2: who the client behind a load balancer is.
//!
//! Follows `proxy-protocol.txt` of HAProxy, sections 2.1 and 2.2. Its TLVs and checksum are passed over.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// What the first bytes of a connection are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Parsed {
    /// A whole header of `consumed` bytes. `source` is absent for `UNKNOWN`, `LOCAL` and families without addresses.
    Header {
        /// Client address.
        source: Option<SocketAddr>,
        /// Length of the header.
        consumed: usize,
    },
    /// The beginning of one.
    Incomplete,
    /// Not a header.
    Invalid,
}

/// Judges the first bytes of a connection.
#[must_use]
pub fn parse(bytes: &[u8]) -> Parsed {
    if let Some(rest) = bytes.strip_prefix(SIGNATURE) {
        binary(rest)
    } else if let Some(rest) = bytes.strip_prefix(WORD) {
        text(rest)
    } else if SIGNATURE.starts_with(bytes) || WORD.starts_with(bytes) {
        Parsed::Incomplete
    } else {
        Parsed::Invalid
    }
}

/// Version 1: `PROXY TCP4 source destination source-port destination-port` and CRLF.
fn text(rest: &[u8]) -> Parsed {
    let window = rest.get(..MAX_TEXT - WORD.len()).unwrap_or(rest);
    let Some(end) = window.iter().position(|byte| *byte == b'\n') else {
        return if window.len() < MAX_TEXT - WORD.len() { Parsed::Incomplete } else { Parsed::Invalid };
    };
    let line = window.get(..end).and_then(|line| line.strip_suffix(b"\r"));
    let Some(line) = line.and_then(|line| std::str::from_utf8(line).ok()) else { return Parsed::Invalid };
    let consumed = WORD.len() + end + 1;
    // What follows UNKNOWN is to be ignored.
    if line == "UNKNOWN" || line.starts_with("UNKNOWN ") {
        return Parsed::Header { source: None, consumed };
    }
    match line_source(line) {
        Some(source) => Parsed::Header { source: Some(source), consumed },
        None => Parsed::Invalid,
    }
}

/// The source that a line of version 1 names, all of it being right.
fn line_source(line: &str) -> Option<SocketAddr> {
    let mut words = line.split(' ');
    let address: fn(&str) -> Option<IpAddr> = match words.next()? {
        "TCP4" => |word| word.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
        "TCP6" => |word| word.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        _ => return None,
    };
    let (source, _) = (address(words.next()?)?, address(words.next()?)?);
    let (source_port, _) = (port(words.next()?)?, port(words.next()?)?);
    words.next().is_none().then(|| SocketAddr::new(source, source_port))
}

/// Decimal, without sign or leading zeros.
fn port(word: &str) -> Option<u16> {
    let plain = word.bytes().all(|byte| byte.is_ascii_digit()) && (word == "0" || !word.starts_with('0'));
    if plain { word.parse().ok() } else { None }
}

/// Version 2: version and command, family and transport, length, addresses, TLVs.
fn binary(rest: &[u8]) -> Parsed {
    // Judged as soon as they are there, so that nonsense is not waited for.
    let command = match rest.first() {
        None => return Parsed::Incomplete,
        Some(0x20) => Command::Local,
        Some(0x21) => Command::Proxy,
        Some(_) => return Parsed::Invalid,
    };
    let Some([_, family, high, low]) = rest.first_chunk::<4>() else { return Parsed::Incomplete };
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    let least = match family {
        // The block of LOCAL is to be ignored, and addresses of an unspecified family or transport cannot be read.
        _ if command == Command::Local => 0,
        0x00..=0x02 | 0x10 | 0x20 | 0x30 => 0,
        0x11 | 0x12 => 12,
        0x21 | 0x22 => 36,
        0x31 | 0x32 => 216,
        _ => return Parsed::Invalid,
    };
    if length < least {
        return Parsed::Invalid;
    }
    let Some(block) = rest.get(4..4 + length) else { return Parsed::Incomplete };
    let source = match (command, family) {
        (Command::Proxy, 0x11) => block.first_chunk().map(|address| source_v4(*address)),
        (Command::Proxy, 0x21) => block.first_chunk().map(|address| source_v6(*address)),
        // Local connections, Unix sockets, and datagrams, which this stream is not.
        _ => None,
    };
    Parsed::Header { source, consumed: SIGNATURE.len() + 4 + length }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Command {
    Local,
    Proxy,
}

/// Source, destination, source port, destination port.
fn source_v4([a, b, c, d, _, _, _, _, high, low, _, _]: [u8; 12]) -> SocketAddr {
    SocketAddr::new(Ipv4Addr::new(a, b, c, d).into(), u16::from_be_bytes([high, low]))
}

/// Source, destination, source port, destination port.
fn source_v6(block: [u8; 36]) -> SocketAddr {
    let [source @ .., high, low, _, _] = block;
    let address = source.first_chunk::<16>().copied().unwrap_or_default();
    SocketAddr::new(Ipv6Addr::from(address).into(), u16::from_be_bytes([high, low]))
}

/// Longest header of version 1, CRLF included.
const MAX_TEXT: usize = 107;
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
const WORD: &[u8] = b"PROXY ";

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn header(source: Option<&str>, bytes: &[u8]) -> Parsed {
        Parsed::Header { source: source.map(|source| source.parse().unwrap()), consumed: bytes.len() }
    }

    fn v2(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
        let mut bytes = SIGNATURE.to_vec();
        bytes.extend([command, family]);
        bytes.extend(u16::try_from(block.len()).unwrap().to_be_bytes());
        bytes.extend(block);
        bytes
    }

    #[test]
    fn lines_of_version_1_name_the_source() {
        let bytes = b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n";
        assert_eq!(parse(bytes), header(Some("192.0.2.7:56324"), bytes));
        let bytes = b"PROXY TCP6 2001:db8::7 ::1 65535 0\r\n";
        assert_eq!(parse(bytes), header(Some("[2001:db8::7]:65535"), bytes));
    }

    #[test]
    fn an_unknown_source_is_nobody_whatever_follows() {
        for line in ["PROXY UNKNOWN\r\n", "PROXY UNKNOWN ffff:f...f 1 2 3 nonsense\r\n"] {
            assert_eq!(parse(line.as_bytes()), header(None, line.as_bytes()), "{line}");
        }
    }

    #[test]
    fn malformed_lines_are_refused() {
        for line in [
            "PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\n",
            "PROXY TCP4 192.0.2.7 198.51.100.1 56324 443 \r\n",
            "PROXY TCP4  192.0.2.7 198.51.100.1 56324 443\r\n",
            "PROXY TCP4 192.0.2.7 198.51.100.1 56324\r\n",
            "PROXY TCP4 192.0.2.7 198.51.100.1 65536 443\r\n",
            "PROXY TCP4 192.0.2.7 198.51.100.1 056 443\r\n",
            "PROXY TCP4 192.0.2.7 198.51.100.1 +56 443\r\n",
            "PROXY TCP4 192.0.2.07 198.51.100.1 56 443\r\n",
            "PROXY TCP4 ::1 ::1 56 443\r\n",
            "PROXY TCP6 192.0.2.7 198.51.100.1 56 443\r\n",
            "PROXY UDP4 192.0.2.7 198.51.100.1 56 443\r\n",
            "PROXY UNKNOWNS\r\n",
            "PROXY \r\n",
            "proxy TCP4 192.0.2.7 198.51.100.1 56324 443\r\n",
            "GET / HTTP/1.1\r\n",
        ] {
            assert_eq!(parse(line.as_bytes()), Parsed::Invalid, "{line}");
        }
    }

    #[test]
    fn a_line_ends_within_107_bytes() {
        let longest = format!("PROXY UNKNOWN {}\r\n", "x".repeat(91));
        assert_eq!(longest.len(), 107);
        assert_eq!(parse(longest.as_bytes()), header(None, longest.as_bytes()));
        let longer = format!("PROXY UNKNOWN {}\r\n", "x".repeat(92));
        assert_eq!(parse(longer.as_bytes()), Parsed::Invalid);
    }

    #[test]
    fn a_block_shorter_than_its_family_is_refused() {
        for (family, least) in [(0x11, 12), (0x12, 12), (0x21, 36), (0x22, 36), (0x31, 216), (0x32, 216)] {
            assert_eq!(parse(&v2(0x21, family, &vec![0; least - 1])), Parsed::Invalid, "{family:x}");
            assert!(matches!(parse(&v2(0x21, family, &vec![0; least])), Parsed::Header { .. }), "{family:x}");
        }
    }

    #[test]
    fn families_without_a_stream_address_name_nobody() {
        for family in [0x00, 0x01, 0x10, 0x12, 0x20, 0x22, 0x30, 0x31, 0x32] {
            let bytes = v2(0x21, family, &[1; 216]);
            assert_eq!(parse(&bytes), header(None, &bytes), "{family:x}");
        }
    }

    #[test]
    fn a_local_connection_names_nobody_whatever_its_block_says() {
        for family in [0x00, 0x11, 0xff] {
            let bytes = v2(0x20, family, &[1; 3]);
            assert_eq!(parse(&bytes), header(None, &bytes), "{family:x}");
        }
    }

    #[test]
    fn reserved_versions_commands_families_and_transports_are_refused() {
        for (command, family) in [(0x11, 0x11), (0x31, 0x11), (0x22, 0x11), (0x21, 0x41), (0x21, 0x13), (0x21, 0x03)] {
            assert_eq!(parse(&v2(command, family, &[0; 216])), Parsed::Invalid, "{command:x} {family:x}");
        }
    }

    fn any_header() -> impl Strategy<Value = (Vec<u8>, Option<SocketAddr>)> {
        let ends = (any::<Ipv4Addr>(), any::<Ipv6Addr>(), any::<u16>(), any::<u16>(), vec(any::<u8>(), 0..64));
        (0..5_u8, ends).prop_map(|(kind, (v4, v6, from, to, tlvs))| match kind {
            0 => (format!("PROXY TCP4 {v4} {v4} {from} {to}\r\n").into(), Some((v4, from).into())),
            1 => (format!("PROXY TCP6 {v6} {v6} {from} {to}\r\n").into(), Some((v6, from).into())),
            2 => (v2(0x20, 0, &tlvs), None),
            3 => {
                let ports = [from.to_be_bytes(), to.to_be_bytes()].concat();
                (v2(0x21, 0x11, &[&v4.octets()[..], &v4.octets(), &ports, &tlvs].concat()), Some((v4, from).into()))
            }
            _ => {
                let ports = [from.to_be_bytes(), to.to_be_bytes()].concat();
                (v2(0x21, 0x21, &[&v6.octets()[..], &v6.octets(), &ports, &tlvs].concat()), Some((v6, from).into()))
            }
        })
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in vec(any::<u8>(), 0..300)) {
            let _ = parse(&bytes);
            let _ = parse(&[SIGNATURE, &bytes].concat());
            let _ = parse(&[WORD, &bytes].concat());
        }

        #[test]
        fn what_was_written_is_read_back((bytes, source) in any_header(), behind in vec(any::<u8>(), 0..32)) {
            let whole = [&bytes[..], &behind].concat();
            prop_assert_eq!(parse(&whole), Parsed::Header { source, consumed: bytes.len() });
        }

        #[test]
        fn every_beginning_of_a_header_is_incomplete((bytes, _) in any_header()) {
            for end in 0..bytes.len() {
                prop_assert_eq!(parse(&bytes[..end]), Parsed::Incomplete);
            }
        }

        #[test]
        fn a_verdict_stands_whatever_arrives_next(bytes in vec(any::<u8>(), 0..150), which in 0..2_usize) {
            let bytes = [[SIGNATURE, WORD][which], &bytes].concat();
            let last = parse(&bytes);
            for end in 0..bytes.len() {
                let early = parse(&bytes[..end]);
                prop_assert!(early == Parsed::Incomplete || early == last);
            }
        }
    }
}
