//! Dates in queries: milliseconds, a few formats, and date math such as `now-1d/d`.

use jiff::{Span, Timestamp, Zoned, civil, tz::TimeZone};

use crate::respond::Exception;

/// How a date is written.
#[derive(Clone, Debug, Default)]
pub(super) struct Format(Option<String>);

/// Which end of a rounded span is meant.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Round {
    Down,
    Up,
}

impl Format {
    /// The one given, else milliseconds.
    pub(super) fn new(given: Option<&str>) -> Self {
        Self(given.map(str::to_owned))
    }

    fn name(&self) -> &str {
        self.0.as_deref().unwrap_or("epoch_millis")
    }

    /// Reads a date.
    ///
    /// # Errors
    ///
    /// Elasticsearch's words for a text that is none.
    pub(super) fn parse(&self, text: &str, round: Round, now: i64) -> Result<i64, Exception> {
        if let Some(math) = text.strip_prefix("now") {
            return compute(now, math, round);
        }
        let (date, math) = text.split_once("||").unwrap_or((text, ""));
        let read = self
            .name()
            .split("||")
            .find_map(|format| read(date, format, if math.is_empty() { round } else { Round::Down }));
        if let Some(millis) = read {
            return compute(millis, math, round);
        }
        let text = format!("failed to parse date field [{date}] with format [{}]", self.name());
        let none = Exception::new("date_time_parse_exception", "Failed to parse with all enclosed parsers");
        Err(Exception::parse(format!("{text}: [{text}]")).because(Exception::argument(text).because(none)))
    }

    /// Writes a date.
    pub(super) fn write(&self, millis: i64) -> String {
        let first = self.name().split("||").next().unwrap_or_default();
        let format = match first {
            "epoch_second" => return (millis / 1000).to_string(),
            "yyyy" | "year" | "strict_year" => "%Y",
            "yyyy-MM" | "year_month" | "strict_year_month" => "%Y-%m",
            "yyyy-MM-dd" | "date" | "strict_date" => "%Y-%m-%d",
            "date_time_no_millis" | "strict_date_time_no_millis" => "%Y-%m-%dT%H:%M:%SZ",
            "date_time" | "strict_date_time" | "date_optional_time" | "strict_date_optional_time" | "iso8601" => {
                "%Y-%m-%dT%H:%M:%S.%3fZ"
            }
            _ => return millis.to_string(),
        };
        Timestamp::from_millisecond(millis)
            .map_or_else(|_| millis.to_string(), |time| time.to_zoned(TimeZone::UTC).strftime(format).to_string())
    }
}

/// A text in one format; what it leaves open is the first or the last moment that it covers.
fn read(text: &str, format: &str, round: Round) -> Option<i64> {
    let covering = |first: civil::Date, span: Span| {
        let begin = first.to_zoned(TimeZone::UTC).ok()?;
        let end = begin.checked_add(span).ok()?.timestamp().as_millisecond() - 1;
        Some(if round == Round::Up { end } else { begin.timestamp().as_millisecond() })
    };
    let year = || civil::Date::new(text.parse().ok()?, 1, 1).ok();
    let month = || civil::Date::strptime("%Y-%m-%d", format!("{text}-01")).ok();
    let day = || civil::Date::strptime("%Y-%m-%d", text).ok();
    match format {
        "epoch_millis" => text.parse().ok(),
        "epoch_second" => text.parse::<i64>().ok()?.checked_mul(1000),
        "yyyy" | "year" | "strict_year" => covering(year()?, Span::new().years(1)),
        "yyyy-MM" | "year_month" | "strict_year_month" => covering(month()?, Span::new().months(1)),
        "yyyy-MM-dd" | "date" | "strict_date" => covering(day()?, Span::new().days(1)),
        "date_time" | "strict_date_time" | "date_time_no_millis" | "strict_date_time_no_millis" => instant(text),
        "date_optional_time" | "strict_date_optional_time" | "iso8601" => match text.len() {
            4 => covering(year()?, Span::new().years(1)),
            7 => covering(month()?, Span::new().months(1)),
            10 => covering(day()?, Span::new().days(1)),
            _ => instant(text),
        },
        _ => None,
    }
}

fn instant(text: &str) -> Option<i64> {
    let zoned = text.parse::<Timestamp>().ok().map(Timestamp::as_millisecond);
    let local =
        || Some(text.parse::<civil::DateTime>().ok()?.to_zoned(TimeZone::UTC).ok()?.timestamp().as_millisecond());
    zoned.or_else(local)
}

/// Applies `+1d`, `-2h`, `/d` and the like, one after the other.
fn compute(start: i64, math: &str, round: Round) -> Result<i64, Exception> {
    let out_of_range = |_| Exception::parse(format!("date math [{math}] leaves the range of dates"));
    let mut time = Timestamp::from_millisecond(start).map_err(out_of_range)?.to_zoned(TimeZone::UTC);
    let mut rest = math;
    while let Some(operator) = rest.chars().next() {
        let body = rest.get(1..).unwrap_or_default();
        let digits = body.bytes().take_while(u8::is_ascii_digit).count();
        let (count, body) = body.split_at(digits);
        let Some(unit) = body.chars().next() else {
            return Err(Exception::parse(format!("truncated date math [{math}]")));
        };
        let unsupported = || Exception::parse(format!("unit [{unit}] not supported for date math [{math}]"));
        match operator {
            '/' if count.is_empty() || count == "1" => {
                time = floor(&time, unit).ok_or_else(unsupported)?;
                if round == Round::Up {
                    let next = time.checked_add(span(unit, 1).ok_or_else(unsupported)?).map_err(out_of_range)?;
                    time = next.checked_sub(Span::new().milliseconds(1)).map_err(out_of_range)?;
                }
            }
            '/' => {
                return Err(Exception::parse(format!("rounding `/` can only be used on single unit types [{math}]")));
            }
            '+' | '-' => {
                let count = if count.is_empty() { 1 } else { count.parse::<i64>().unwrap_or(i64::MAX) };
                let count = if operator == '-' { -count } else { count };
                time = time.checked_add(span(unit, count).ok_or_else(unsupported)?).map_err(out_of_range)?;
            }
            _ => return Err(Exception::parse(format!("operator not supported for date math [{math}]"))),
        }
        rest = body.get(unit.len_utf8()..).unwrap_or_default();
    }
    Ok(time.timestamp().as_millisecond())
}

fn span(unit: char, count: i64) -> Option<Span> {
    let span = Span::new();
    match unit {
        'y' => span.try_years(count),
        'M' => span.try_months(count),
        'w' => span.try_weeks(count),
        'd' => span.try_days(count),
        'h' | 'H' => span.try_hours(count),
        'm' => span.try_minutes(count),
        's' => span.try_seconds(count),
        _ => return None,
    }
    .ok()
    // A span beyond all dates is no unit's fault; whoever adds it hears that it is too long.
    .or(Some(span.years(19_998)))
}

fn floor(time: &Zoned, unit: char) -> Option<Zoned> {
    let date = time.date();
    let date = match unit {
        'y' => date.first_of_year(),
        'M' => date.first_of_month(),
        'w' => date.checked_sub(Span::new().days(date.weekday().to_monday_zero_offset())).ok()?,
        'd' | 'h' | 'H' | 'm' | 's' => date,
        _ => return None,
    };
    let (hour, minute, second) = (time.hour(), time.minute(), time.second());
    let (hour, minute, second) = match unit {
        'h' | 'H' => (hour, 0, 0),
        'm' => (hour, minute, 0),
        's' => (hour, minute, second),
        _ => (0, 0, 0),
    };
    date.at(hour, minute, second, 0).to_zoned(TimeZone::UTC).ok()
}
