//! The log: text on a terminal, ECS JSON otherwise, filtered by a level that can be changed while the process runs.

use std::{
    fmt::{self, Debug},
    io,
};

use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
    level_filters::LevelFilter,
};
use tracing_subscriber::{
    EnvFilter, Layer,
    layer::{Context, SubscriberExt},
    registry::Registry,
    reload,
};

use crate::{
    clock::Clock,
    telemetry::{
        Format, TelemetryError,
        line::{Line, Stamp},
        writer::Writer,
    },
};

/// The level in force, and the means to change it.
#[derive(Clone, Debug)]
pub struct Level(reload::Handle<EnvFilter, Registry>);

impl Level {
    /// The filter in force.
    #[must_use]
    pub fn current(&self) -> String {
        self.0.with_current(ToString::to_string).unwrap_or_default()
    }

    /// Puts another filter in force.
    ///
    /// # Errors
    ///
    /// When `level` is not a filter.
    pub fn set(&self, level: &str) -> Result<(), TelemetryError> {
        // An error of the handle says that the subscriber is gone, and with it all who could read the log.
        self.0.reload(filter(level)?).map_err(|_| TelemetryError::Ended)
    }
}

/// A subscriber that hands lines to `writer`.
///
/// # Errors
///
/// When `level` is not a filter.
pub fn build(
    format: Format,
    level: &str,
    writer: Writer,
    clock: Clock,
) -> Result<(impl Subscriber + Send + Sync, Level), TelemetryError> {
    let (filter, handle) = reload::Layer::new(filter(level)?);
    let (ecs, text) = match format {
        Format::Ecs => (Some(Ecs { writer, clock }), None),
        Format::Text { color } => {
            let layer = tracing_subscriber::fmt::layer().with_ansi(color).with_writer(move || Lines(writer.clone()));
            (None, Some(layer))
        }
    };
    Ok((Registry::default().with(filter).with(ecs).with(text), Level(handle)))
}

/// Parses a filter such as `info` or `info,searchgate::upstream=debug`. A bare word must be a level: tracing would take
/// a misspelt one for the name of a module.
fn filter(level: &str) -> Result<EnvFilter, TelemetryError> {
    let wrong = || TelemetryError::Level { level: level.to_owned() };
    let is_level = |word: &str| word.contains(['=', '[']) || (!word.is_empty() && word.parse::<LevelFilter>().is_ok());
    if !level.split(',').all(is_level) {
        return Err(wrong());
    }
    EnvFilter::try_new(level).map_err(|_| wrong())
}

/// Takes a line from the text formatter, which writes each at once.
struct Lines(Writer);

impl io::Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.line(line.to_vec());
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes events in the Elastic Common Schema.
struct Ecs {
    writer: Writer,
    clock: Clock,
}

impl<S: Subscriber> Layer<S> for Ecs {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut buffer = Vec::with_capacity(512);
        let mut line = Line::begin(&mut buffer);
        line.time("@timestamp", &mut Stamp::default(), self.clock.now());
        line.field("log.level", level_name(*event.metadata().level()));
        line.field("ecs.version", super::ECS_VERSION);
        line.field("service.name", "searchgate");
        line.field("event.dataset", "searchgate.log");
        line.field("log.logger", event.metadata().target());
        event.record(&mut Fields(&mut line));
        line.end();
        self.writer.line(buffer);
    }
}

fn level_name(level: tracing::Level) -> &'static str {
    match level {
        tracing::Level::DEBUG => "debug",
        tracing::Level::ERROR => "error",
        tracing::Level::INFO => "info",
        tracing::Level::TRACE => "trace",
        tracing::Level::WARN => "warn",
    }
}

struct Fields<'l, 'b>(&'l mut Line<'b>);

impl Visit for Fields<'_, '_> {
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.field(name(field), &value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.field(name(field), &format_args!("{value:?}"));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.0.field(name(field), &value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.field(name(field), &value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.field(name(field), value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.field(name(field), &value);
    }
}

/// In ECS `error` is an object; fields that it does not know go under our own name.
fn name(field: &Field) -> &'static str {
    match field.name() {
        "error" => "error.message",
        "file" => "file.path",
        "upstream" => "searchgate.upstream",
        name => name,
    }
}

impl fmt::Debug for Ecs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ecs").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{model::Timestamp, telemetry::writer::tests::Sink};

    async fn logged(format: Format, level: &str, events: impl FnOnce(&Level)) -> String {
        let sink = Sink::default();
        let writer = sink.writer();
        let clock = Clock::anchored(Timestamp::from_millis(0));
        let (subscriber, level) = build(format, level, writer.clone(), clock).unwrap();
        tracing::subscriber::with_default(subscriber, || events(&level));
        writer.flush().await;
        sink.text()
    }

    #[tokio::test]
    async fn an_event_is_one_ecs_line() {
        let text = logged(Format::Ecs, "info", |_| {
            let error = io::Error::other("no \"route\"\n");
            tracing::warn!(upstream = "a:9200", failures = 3, %error, "host is taken out");
        })
        .await;
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert!(line["@timestamp"].as_str().unwrap().starts_with("1970-01-01T00:00:00."));
        let expected = serde_json::json!({
            "@timestamp": line["@timestamp"], "log.level": "warn", "ecs.version": "8.11.0", "service.name": "searchgate",
            "event.dataset": "searchgate.log", "log.logger": "searchgate::telemetry::subscriber::tests",
            "message": "host is taken out", "searchgate.upstream": "a:9200", "failures": 3,
            "error.message": "no \"route\"\n",
        });
        assert_eq!(line, expected);
    }

    #[tokio::test]
    async fn a_secret_prints_as_redacted_in_either_format() {
        for format in [Format::Ecs, Format::Text { color: false }] {
            let secret = crate::secret::SecretText::new("canary-5d1e".to_owned());
            let text = logged(format, "info", |_| tracing::info!(?secret, "{secret:?}")).await;
            assert_eq!(text.matches("[redacted]").count(), 2, "{text}");
            assert!(!text.contains("canary"), "{text}");
        }
    }

    #[tokio::test]
    async fn text_is_for_eyes() {
        let text = logged(Format::Text { color: false }, "info", |_| tracing::info!(port = 9200, "ready")).await;
        assert!(text.contains("INFO") && text.contains("ready port=9200") && text.ends_with('\n'), "{text}");
    }

    #[tokio::test]
    async fn the_level_can_be_changed_while_it_runs() {
        let text = logged(Format::Ecs, "info", |level| {
            tracing::debug!("first");
            level.set("searchgate=debug").unwrap();
            tracing::debug!("second");
            assert_eq!(level.current(), "searchgate=debug");
        })
        .await;
        assert!(!text.contains("first") && text.contains("second"), "{text}");
    }

    #[tokio::test]
    async fn a_filter_that_is_none_changes_nothing() {
        logged(Format::Ecs, "info", |level| {
            for wrong in ["", "debgu", "info,debgu", "searchgate=loud"] {
                assert!(matches!(level.set(wrong), Err(TelemetryError::Level { .. })), "{wrong}");
            }
            assert_eq!(level.current(), "info");
        })
        .await;
    }
}
