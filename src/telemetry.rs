//! What operators see: logs, access events, metrics, the audit stream. Never secrets, header values or query strings.

use std::{io, io::IsTerminal, net::IpAddr, time::Duration};

use http::{Method, StatusCode};

use crate::{
    clock::Clock,
    config::{LogFormat, Logging},
    model::{Principal, Timestamp},
};

pub mod access;
pub mod audit;
pub mod line;
pub mod metrics;
#[cfg(feature = "otel")]
pub mod otlp;
pub mod subscriber;
pub mod writer;

use access::AccessLog;
use metrics::Metrics;
use subscriber::Level;
use writer::Writer;

/// The log of the process and what goes with it.
#[derive(Debug)]
pub struct Telemetry {
    format: Format,
    level: Level,
    writer: Writer,
    #[cfg(feature = "otel")]
    traces: Option<otlp::Traces>,
}

/// Shape of a line.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Format {
    /// Elastic Common Schema, JSON.
    Ecs,
    /// For eyes.
    Text {
        /// With the colors of a terminal.
        color: bool,
    },
}

/// Why there is no telemetry.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The subscriber is gone.
    #[error("the log has ended")]
    Ended,
    /// Not a filter.
    #[error(
        "`{level}` is not a log level: use trace, debug, info, warn, error or off, or a filter such as `info,searchgate=debug`"
    )]
    Level {
        /// What was given.
        level: String,
    },
    /// Somebody else has set up a log in this process.
    #[error("a log is already set up")]
    Taken(#[source] tracing::subscriber::SetGlobalDefaultError),
    /// The exporter of traces.
    #[cfg(feature = "otel")]
    #[error("traces cannot be exported")]
    Traces(#[source] opentelemetry_otlp::ExporterBuildError),
    /// The thread that writes.
    #[error("the log cannot be written")]
    Writer(#[source] io::Error),
}

/// One finished request, as the access event and the metrics record it.
#[derive(Debug)]
pub struct AccessEvent<'a> {
    /// When it finished.
    pub timestamp: Timestamp,
    /// Request method.
    pub method: &'a Method,
    /// Raw path without the query.
    pub path: &'a str,
    /// Status sent to the client.
    pub status: StatusCode,
    /// Body bytes received from the client.
    pub bytes_in: u64,
    /// Body bytes sent to the client.
    pub bytes_out: u64,
    /// First byte of the request to last byte of the answer.
    pub elapsed: Duration,
    /// Who called, once proven.
    pub principal: Option<&'a Principal>,
    /// Client address.
    pub client: Option<IpAddr>,
    /// Authority of the cluster node that answered.
    pub upstream: Option<&'a str>,
    /// Requests sent to the cluster for this one.
    pub attempts: u8,
    /// Reason code, when the gateway itself answered with one.
    pub reason: Option<&'static str>,
    /// `X-Opaque-Id` of the client.
    pub opaque_id: Option<&'a str>,
    /// `traceparent` of the client, as it came.
    pub traceparent: Option<&'a str>,
    /// Whether the answer ended early because one side went away.
    pub aborted: bool,
}

impl Telemetry {
    /// Sets up the log of the process, on standard error. Call it once, on the control plane's runtime.
    ///
    /// # Errors
    ///
    /// When the level is not one, or a log is already set up.
    pub fn start(logging: &Logging) -> Result<Self, TelemetryError> {
        let format = Format::of(logging.format, io::stderr().is_terminal());
        let writer = Writer::start("log", || Ok(Box::new(io::stderr()))).map_err(TelemetryError::Writer)?;
        let (subscriber, level) = subscriber::build(format, &logging.level, writer.clone(), Clock::system())?;
        tracing::subscriber::set_global_default(subscriber).map_err(TelemetryError::Taken)?;
        Ok(Self {
            format,
            level,
            writer,
            #[cfg(feature = "otel")]
            traces: otlp::Traces::from_environment().map_err(TelemetryError::Traces)?,
        })
    }

    /// Telemetry that writes to `output` and is not the log of the process: for tests and benchmarks.
    ///
    /// # Errors
    ///
    /// When the level is not one.
    pub fn detached(
        logging: &Logging,
        output: impl Fn() -> io::Result<writer::Output> + Send + 'static,
    ) -> Result<Self, TelemetryError> {
        let format = Format::of(logging.format, false);
        let writer = Writer::start("log", output).map_err(TelemetryError::Writer)?;
        let (_, level) = subscriber::build(format, &logging.level, writer.clone(), Clock::system())?;
        Ok(Self {
            format,
            level,
            writer,
            #[cfg(feature = "otel")]
            traces: None,
        })
    }

    /// The access log of one more data thread.
    #[must_use]
    pub fn access_log(&self) -> AccessLog {
        let log = AccessLog::new(self.format, self.writer.clone());
        #[cfg(feature = "otel")]
        let log = log.with_traces(self.traces.clone());
        log
    }

    /// Shows lost lines among the metrics.
    pub fn observe(&self, metrics: &Metrics) {
        metrics.lost_lines("log", self.writer.lost());
    }

    /// The log filter in force.
    #[must_use]
    pub fn log_level(&self) -> String {
        self.level.current()
    }

    /// Puts another log filter in force.
    ///
    /// # Errors
    ///
    /// When `level` is not a filter.
    pub fn set_log_level(&self, level: &str) -> Result<(), TelemetryError> {
        self.level.set(level)
    }

    /// Waits until what was logged is written, at most some seconds. The last thing that a process does.
    pub async fn flush(&self) {
        #[cfg(feature = "otel")]
        if let Some(traces) = &self.traces {
            traces.flush().await;
        }
        self.writer.flush().await;
    }
}

impl Format {
    fn of(configured: LogFormat, terminal: bool) -> Self {
        match configured {
            LogFormat::Auto if terminal => Self::Text { color: true },
            LogFormat::Auto | LogFormat::Json => Self::Ecs,
            LogFormat::Text => Self::Text { color: terminal },
        }
    }
}

impl<'a> AccessEvent<'a> {
    /// The trace that the client says this request belongs to.
    #[must_use]
    pub fn trace_id(&self) -> Option<&'a str> {
        let mut parts = self.traceparent?.split('-');
        let (_version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let hex = |text: &str, length| text.len() == length && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        (hex(trace, 32) && hex(span, 16) && hex(flags, 2)).then_some(trace)
    }
}

const ECS_VERSION: &str = "8.11.0";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auto_is_text_on_a_terminal_and_json_elsewhere() {
        assert_eq!(Format::of(LogFormat::Auto, true), Format::Text { color: true });
        assert_eq!(Format::of(LogFormat::Auto, false), Format::Ecs);
        assert_eq!(Format::of(LogFormat::Json, true), Format::Ecs);
        assert_eq!(Format::of(LogFormat::Text, false), Format::Text { color: false });
    }
}
