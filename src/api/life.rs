//! A span of time as Elasticsearch writes it: `30d`, `12h`, `15m`, `10s`, `500ms`.

use std::time::Duration;

use crate::respond::Exception;

/// Reads the life of a key, cut to whole seconds. `-1` and its like mean a key that is dead at once.
///
/// # Errors
///
/// Elasticsearch's words for what is no such span; a life of more than a million days, which overflows there.
pub(super) fn parse(text: &str) -> Result<Duration, Exception> {
    let setting = format!("failed to parse setting [expiration] with value [{text}] as a time value");
    let plain = text.trim().to_ascii_lowercase();
    let found = UNITS.iter().find_map(|(unit, millis)| Some((plain.strip_suffix(unit)?.trim(), *millis)));
    let Some((number, (multiply, divide))) = found else {
        return match plain.as_str() {
            "0" | "-1" => Ok(Duration::ZERO),
            _ => Err(Exception::argument(format!("{setting}: unit is missing or unrecognized"))),
        };
    };
    let no_number = || Exception::new("number_format_exception", format!("For input string: \"{number}\""));
    let Ok(value) = number.parse::<i64>() else {
        return Err(if number.parse::<f64>().is_ok() {
            Exception::argument(format!("failed to parse [{text}], fractional time values are not supported"))
        } else {
            Exception::argument(format!("failed to parse [{text}]"))
        }
        .because(no_number()));
    };
    let Ok(value) = u64::try_from(value) else {
        return if value == -1 && matches!((multiply, divide), (1_000 | 1, 1)) {
            Ok(Duration::ZERO)
        } else {
            Err(Exception::argument(format!("{setting}: negative durations are not supported")))
        };
    };
    let seconds = value.checked_mul(multiply).map(|millis| millis / divide / 1_000);
    match seconds.filter(|seconds| *seconds <= LONGEST) {
        Some(seconds) => Ok(Duration::from_secs(seconds)),
        None => Err(Exception::argument(format!("{setting}: it is too long"))),
    }
}

/// Suffix, and milliseconds as a fraction; longer suffixes before the ones that end them.
const UNITS: [(&str, (u64, u64)); 7] = [
    ("nanos", (1, 1_000_000)),
    ("micros", (1, 1_000)),
    ("ms", (1, 1)),
    ("s", (1_000, 1)),
    ("m", (60_000, 1)),
    ("h", (3_600_000, 1)),
    ("d", (86_400_000, 1)),
];

const LONGEST: u64 = 86_400_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_cut_to_whole_seconds() {
        for (text, seconds) in [
            ("30d", 2_592_000),
            ("12h", 43_200),
            ("15m", 900),
            (" 1 D ", 86_400),
            ("1500ms", 1),
            ("500ms", 0),
            ("2000000micros", 2),
            ("0", 0),
            ("-1", 0),
            ("-1s", 0),
        ] {
            assert_eq!(parse(text).ok(), Some(Duration::from_secs(seconds)), "{text}");
        }
    }

    #[test]
    fn other_texts_are_refused_in_the_words_of_the_original() {
        let setting = "failed to parse setting [expiration] with value";
        for (text, reason) in [
            ("10", format!("{setting} [10] as a time value: unit is missing or unrecognized")),
            ("", format!("{setting} [] as a time value: unit is missing or unrecognized")),
            ("-2d", format!("{setting} [-2d] as a time value: negative durations are not supported")),
            ("1.5h", "failed to parse [1.5h], fractional time values are not supported".to_owned()),
            ("1d 2h", "failed to parse [1d 2h]".to_owned()),
            ("99999999999d", format!("{setting} [99999999999d] as a time value: it is too long")),
        ] {
            assert_eq!(parse(text).unwrap_err().body(400)["error"]["reason"], reason.as_str(), "{text}");
        }
    }
}
