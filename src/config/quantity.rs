//! Durations and sizes as they are written: with a unit, always.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serializer, de};

/// Text that is no duration or size. The second line says what to write.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum QuantityError {
    /// No number, an unknown unit, or something else altogether.
    #[error("no duration\nwrite a whole number and a unit: ms, s, m, h or d, for example 20m")]
    Duration,
    /// More than a clock can add.
    #[error("longer than {MAX_DAYS} days")]
    Long,
    /// More bytes than can be counted.
    #[error("too many bytes")]
    Large,
    /// No number, an unknown unit, or something else altogether.
    #[error("no size\nwrite a whole number and a unit: b, kb, mb, gb or tb, for example 512kb")]
    Size,
    /// Zero would spin or refuse everything.
    #[error("must be more than zero")]
    Zero,
}

/// Reads `20m`. `0` needs no unit.
///
/// # Errors
///
/// [`QuantityError`].
pub fn parse_duration(text: &str) -> Result<Duration, QuantityError> {
    let (number, factor) = split(text, DURATIONS).ok_or(QuantityError::Duration)?;
    number
        .checked_mul(factor)
        .filter(|millis| *millis <= MAX_DAYS * DAY)
        .map(Duration::from_millis)
        .ok_or(QuantityError::Long)
}

/// Writes `20m`, in the largest unit that loses nothing. Below a millisecond nothing is configured.
#[must_use]
pub fn print_duration(duration: Duration) -> String {
    print(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX), DURATIONS)
}

/// Reads `512kb`; units are powers of 1024. `0` needs no unit.
///
/// # Errors
///
/// [`QuantityError`].
pub fn parse_bytes(text: &str) -> Result<u64, QuantityError> {
    let (number, factor) = split(text, SIZES).ok_or(QuantityError::Size)?;
    number.checked_mul(factor).ok_or(QuantityError::Large)
}

/// Writes `512kb`, in the largest unit that loses nothing.
#[must_use]
pub fn print_bytes(bytes: u64) -> String {
    print(bytes, SIZES)
}

/// A number and the factor of its unit; `units` run from small to large.
fn split(text: &str, units: &[(&str, u64)]) -> Option<(u64, u64)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(end)?;
    let number = if number.is_empty() { None } else { Some(number.parse().unwrap_or(u64::MAX)) }?;
    if unit.is_empty() && number == 0 {
        return Some((0, 1));
    }
    let (_, factor) = units.iter().find(|(name, _)| unit.eq_ignore_ascii_case(name))?;
    Some((number, *factor))
}

fn print(amount: u64, units: &[(&str, u64)]) -> String {
    if amount == 0 {
        return "0".into();
    }
    let best = units.iter().rev().find(|(_, factor)| amount.is_multiple_of(*factor));
    best.map_or_else(String::new, |(name, factor)| format!("{}{name}", amount / factor))
}

/// A duration above zero.
pub(super) mod duration {
    use super::{Deserializer, Duration, QuantityError, de, duration_or_zero};

    pub(in crate::config) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        let duration = duration_or_zero::deserialize(deserializer)?;
        if duration.is_zero() { Err(de::Error::custom(QuantityError::Zero)) } else { Ok(duration) }
    }

    pub(in crate::config) use super::duration_or_zero::serialize;
}

/// A duration.
pub(super) mod duration_or_zero {
    use super::{Deserialize, Deserializer, Duration, Serializer, de, parse_duration, print_duration};

    pub(in crate::config) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        parse_duration(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }

    pub(in crate::config) fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&print_duration(*duration))
    }
}

/// A duration above zero, or none.
pub(super) mod optional_duration {
    use super::{Deserialize, Deserializer, Duration, QuantityError, Serializer, de, parse_duration, print_duration};

    pub(in crate::config) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Duration>, D::Error> {
        let Some(text) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
        match parse_duration(&text).map_err(de::Error::custom)? {
            Duration::ZERO => Err(de::Error::custom(QuantityError::Zero)),
            duration => Ok(Some(duration)),
        }
    }

    #[expect(clippy::ref_option, reason = "the signature is serde's")]
    pub(in crate::config) fn serialize<S: Serializer>(
        duration: &Option<Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match duration {
            Some(duration) => serializer.serialize_some(&print_duration(*duration)),
            None => serializer.serialize_none(),
        }
    }
}

/// A size above zero.
pub(super) mod bytes {
    use super::{Deserializer, QuantityError, bytes_or_zero, de};

    pub(in crate::config) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        match bytes_or_zero::deserialize(deserializer)? {
            0 => Err(de::Error::custom(QuantityError::Zero)),
            bytes => Ok(bytes),
        }
    }

    pub(in crate::config) use super::bytes_or_zero::serialize;
}

/// A size.
pub(super) mod bytes_or_zero {
    use super::{Deserialize, Deserializer, Serializer, de, parse_bytes, print_bytes};

    pub(in crate::config) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        parse_bytes(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature is serde's")]
    pub(in crate::config) fn serialize<S: Serializer>(bytes: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&print_bytes(*bytes))
    }
}

const SECOND: u64 = 1000;
const DAY: u64 = 24 * 60 * 60 * SECOND;
/// A century: what is added to the time of day must not overflow a clock.
const MAX_DAYS: u64 = 36_500;
const DURATIONS: &[(&str, u64)] = &[("ms", 1), ("s", SECOND), ("m", 60 * SECOND), ("h", 60 * 60 * SECOND), ("d", DAY)];
const SIZES: &[(&str, u64)] = &[("b", 1), ("kb", 1 << 10), ("mb", 1 << 20), ("gb", 1 << 30), ("tb", 1 << 40)];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_bare_number_is_refused_and_zero_is_not() {
        assert_eq!(parse_duration("20"), Err(QuantityError::Duration));
        assert_eq!(parse_bytes("512"), Err(QuantityError::Size));
        assert_eq!((parse_duration("0"), parse_bytes("0")), (Ok(Duration::ZERO), Ok(0)));
    }

    #[test]
    fn units_mean_what_they_say() {
        assert_eq!(parse_duration("20m"), Ok(Duration::from_mins(20)));
        assert_eq!(parse_duration("7d"), Ok(Duration::from_hours(7 * 24)));
        assert_eq!(parse_bytes("32KB"), Ok(32_768));
        for wrong in ["", "m", "1w", "1.5h", "-1s", "1 m", "1m ", "٣s"] {
            assert_eq!(parse_duration(wrong), Err(QuantityError::Duration), "{wrong}");
        }
    }

    #[test]
    fn what_a_clock_cannot_add_is_refused() {
        assert_eq!(parse_duration("36501d"), Err(QuantityError::Long));
        assert_eq!(parse_duration("99999999999999999999999d"), Err(QuantityError::Long));
        assert_eq!(parse_bytes("99999999999tb"), Err(QuantityError::Large));
    }

    proptest! {
        #[test]
        fn a_printed_duration_reads_back(millis in 0..=MAX_DAYS * DAY) {
            let duration = Duration::from_millis(millis);
            prop_assert_eq!(parse_duration(&print_duration(duration)), Ok(duration));
        }

        #[test]
        fn a_printed_size_reads_back(bytes: u64) {
            prop_assert_eq!(parse_bytes(&print_bytes(bytes)), Ok(bytes));
        }

        #[test]
        fn no_text_panics(text: String) {
            let _ = (parse_duration(&text), parse_bytes(&text));
        }
    }
}
