//! Names with date math, `<logs-{now/d{yyyy.MM.dd|+01:00}}>`, resolved as the cluster resolves them. What this module
//! does not understand for sure is refused: named time zones, unusual formats.

use std::borrow::Cow;
use std::fmt::Write as _;

use jiff::{SignedDuration, Span, Timestamp as Instant, civil::DateTime, tz::Offset};

use super::names::NameError;
use crate::model::Timestamp;

/// The name that `text` stands for at `now`; itself where it is no date math.
///
/// # Errors
///
/// [`NameError`].
pub(super) fn resolve(text: &str, now: Timestamp) -> Result<Cow<'_, str>, NameError> {
    if !text.starts_with('<') {
        return Ok(Cow::Borrowed(text));
    }
    let bad = || NameError(text.into());
    let inner = text.strip_prefix('<').and_then(|rest| rest.strip_suffix('>')).ok_or_else(bad)?;
    let mut name = String::with_capacity(inner.len());
    let mut rest = inner;
    while let Some(at) = rest.find(['{', '}', '\\', '<', '>']) {
        let (literal, special) = rest.split_at(at);
        name.push_str(literal);
        // An escape, or a closing brace of nothing.
        let placeholder = special.strip_prefix('{').ok_or_else(bad)?;
        let (math, after) = placeholder_of(placeholder).ok_or_else(bad)?;
        name.push_str(&evaluate(math, now).ok_or_else(bad)?);
        rest = after;
    }
    name.push_str(rest);
    // A colon would name a remote cluster, or a part of a data stream, that nobody has judged.
    if name.is_empty() || name.contains(':') { Err(bad()) } else { Ok(Cow::Owned(name)) }
}

/// What stands between a brace and the one that closes it, and what follows.
fn placeholder_of(text: &str) -> Option<(&str, &str)> {
    let mut depth = 1_u32;
    for (at, character) in text.char_indices() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            '\\' => return None,
            _ => {}
        }
        if depth == 0 {
            return Some((text.get(..at)?, text.get(at + 1..)?));
        }
    }
    None
}

fn evaluate(placeholder: &str, now: Timestamp) -> Option<String> {
    let (math, format) = match placeholder.split_once('{') {
        Some((math, format)) => (math, format.strip_suffix('}')?),
        None => (placeholder, "yyyy.MM.dd"),
    };
    let (format, offset) = match format.split_once('|') {
        Some((format, zone)) => (format, offset(zone)?),
        None => (format, Offset::UTC),
    };
    let instant = Instant::from_millisecond(now.as_millis().try_into().ok()?).ok()?;
    let mut time = offset.to_datetime(instant);
    let mut rest = math.strip_prefix("now")?;
    while let Some(operator) = rest.chars().next() {
        rest = rest.get(1..)?;
        let digits = rest.len() - rest.trim_start_matches(|digit: char| digit.is_ascii_digit()).len();
        let (count, tail) = rest.split_at(digits);
        let unit = tail.chars().next()?;
        rest = tail.get(unit.len_utf8()..)?;
        time = match operator {
            '/' if count.is_empty() => floor(time, unit)?,
            '+' | '-' => {
                let count: i64 = if count.is_empty() { 1 } else { count.parse().ok()? };
                add(time, if operator == '-' { -count } else { count }, unit)?
            }
            _ => return None,
        };
    }
    formatted(time, format)
}

fn offset(zone: &str) -> Option<Offset> {
    if matches!(zone, "UTC" | "Z") {
        return Some(Offset::UTC);
    }
    let (sign, rest) = zone.strip_prefix('+').map(|rest| (1, rest)).or_else(|| Some((-1, zone.strip_prefix('-')?)))?;
    let (hours, minutes) = rest.split_once(':')?;
    let two =
        |text: &str| text.parse::<i32>().ok().filter(|_| text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit()));
    Offset::from_seconds(sign * (two(hours)? * 3600 + two(minutes)? * 60)).ok()
}

fn floor(time: DateTime, unit: char) -> Option<DateTime> {
    let date = time.date();
    let at = |hour: i8, minute: i8, second: i8| date.at(hour, minute, second, 0);
    Some(match unit {
        'y' => date.first_of_year().to_datetime(jiff::civil::Time::midnight()),
        'M' => date.first_of_month().to_datetime(jiff::civil::Time::midnight()),
        'w' => {
            let back = i64::from(date.weekday().to_monday_zero_offset());
            date.checked_sub(Span::new().days(back)).ok()?.to_datetime(jiff::civil::Time::midnight())
        }
        'd' => at(0, 0, 0),
        'h' | 'H' => at(time.hour(), 0, 0),
        'm' => at(time.hour(), time.minute(), 0),
        's' => at(time.hour(), time.minute(), time.second()),
        _ => return None,
    })
}

fn add(time: DateTime, count: i64, unit: char) -> Option<DateTime> {
    let span = match unit {
        'y' => Span::new().try_years(count),
        'M' => Span::new().try_months(count),
        'w' => Span::new().try_weeks(count),
        'd' => Span::new().try_days(count),
        'h' | 'H' => return time.checked_add(SignedDuration::from_secs(count.checked_mul(3600)?)).ok(),
        'm' => return time.checked_add(SignedDuration::from_secs(count.checked_mul(60)?)).ok(),
        's' => return time.checked_add(SignedDuration::from_secs(count)).ok(),
        _ => return None,
    };
    time.checked_add(span.ok()?).ok()
}

/// Java's pattern letters, as far as names of indices use them.
fn formatted(time: DateTime, format: &str) -> Option<String> {
    let mut text = String::new();
    let mut rest = format;
    while let Some(letter) = rest.chars().next() {
        let run = rest.len() - rest.trim_start_matches(letter).len();
        let count = run / letter.len_utf8();
        rest = rest.get(run..)?;
        // Writing to a string cannot fail.
        let _ = match (letter, count) {
            ('y' | 'u', 4) => write!(text, "{:04}", time.year()),
            ('M', 2) => write!(text, "{:02}", time.month()),
            ('d', 2) => write!(text, "{:02}", time.day()),
            ('H', 2) => write!(text, "{:02}", time.hour()),
            ('m', 2) => write!(text, "{:02}", time.minute()),
            ('s', 2) => write!(text, "{:02}", time.second()),
            ('.' | '-' | '_', _) => {
                text.extend(std::iter::repeat_n(letter, count));
                Ok(())
            }
            _ => return None,
        };
    }
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-24T21:54:13Z, a Tuesday.
    fn resolved(text: &str) -> Option<String> {
        resolve(text, Timestamp::from_millis(1_795_557_253_007)).ok().map(Cow::into_owned)
    }

    #[test]
    fn math_is_done_as_documented() {
        for (text, name) in [
            ("plain", "plain"),
            ("<logs-{now/d}>", "logs-2026.11.24"),
            ("<logs-{now}>", "logs-2026.11.24"),
            ("<logs-{now/M}>", "logs-2026.11.01"),
            ("<logs-{now/w}>", "logs-2026.11.23"),
            ("<logs-{now/M{yyyy.MM}}>", "logs-2026.11"),
            ("<logs-{now/M-1M{yyyy.MM}}>", "logs-2026.10"),
            ("<logs-{now-1d/d}-x>", "logs-2026.11.23-x"),
            ("<logs-{now/d{yyyy.MM.dd|+12:00}}>", "logs-2026.11.25"),
            ("<a-{now/y{yyyy}}-{now{HH-mm}}>", "a-2026-21-54"),
        ] {
            assert_eq!(resolved(text).as_deref(), Some(name), "{text}");
        }
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for text in [
            "<",
            "<>",
            "<other:a1>",
            "<a",
            "<a-{now/d}",
            "<a-{now/x}>",
            "<a}>",
            "<a\\{b>",
            "<a-{now{eee}}>",
            "<a-{now{yyyy|Europe/Paris}}>",
        ] {
            assert_eq!(resolved(text), None, "{text}");
        }
    }
}
