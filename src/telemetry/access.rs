//! The access event: one line a request, gathered by its data thread and written by another.

use std::{
    cell::RefCell,
    io::Write,
    mem,
    sync::mpsc::{Receiver, SyncSender, sync_channel},
};

use crate::telemetry::{
    AccessEvent, Format,
    line::{Line, Stamp},
    writer::{Batch, Writer},
};

/// Writes access events of one data thread. In the steady state it allocates nothing: its buffers go round.
#[derive(Debug)]
pub struct AccessLog {
    format: Format,
    writer: Writer,
    gathered: RefCell<Gathered>,
    spare: Receiver<Vec<u8>>,
    back: SyncSender<Vec<u8>>,
    #[cfg(feature = "otel")]
    traces: Option<crate::telemetry::otlp::Traces>,
}

#[derive(Debug, Default)]
struct Gathered {
    lines: Vec<u8>,
    count: u64,
    stamp: Stamp,
}

impl AccessLog {
    /// A log whose lines go to `writer`.
    #[must_use]
    pub fn new(format: Format, writer: Writer) -> Self {
        let (back, spare) = sync_channel(SPARE);
        for _ in 0..SPARE {
            let _ = back.try_send(Vec::new()); // fits: the channel was made for them
        }
        Self {
            format,
            writer,
            gathered: RefCell::default(),
            spare,
            back,
            #[cfg(feature = "otel")]
            traces: None,
        }
    }

    /// Makes each request a span as well.
    #[cfg(feature = "otel")]
    #[must_use]
    pub fn with_traces(mut self, traces: Option<crate::telemetry::otlp::Traces>) -> Self {
        self.traces = traces;
        self
    }

    /// Records one finished request.
    pub fn record(&self, event: &AccessEvent<'_>) {
        #[cfg(feature = "otel")]
        if let Some(traces) = &self.traces {
            traces.record(event);
        }
        let mut gathered = self.gathered.borrow_mut();
        if gathered.lines.len() >= FULL {
            self.writer.lose(1);
        } else {
            gathered.write(self.format, event);
        }
        if gathered.lines.len() >= ENOUGH {
            self.hand_over(&mut gathered);
        }
    }

    /// Hands over what has gathered; called now and then.
    pub fn tick(&self) {
        let mut gathered = self.gathered.borrow_mut();
        if gathered.count > 0 {
            self.hand_over(&mut gathered);
        }
    }

    /// Swaps the buffer for an empty one. While none has come back, lines gather up to [`FULL`].
    fn hand_over(&self, gathered: &mut Gathered) {
        if let Ok(empty) = self.spare.try_recv() {
            let lines = mem::replace(&mut gathered.lines, empty);
            let count = mem::take(&mut gathered.count);
            self.writer.batch(Batch { lines, count, back: self.back.clone() });
        }
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        self.tick();
    }
}

impl Gathered {
    fn write(&mut self, format: Format, event: &AccessEvent<'_>) {
        match format {
            Format::Ecs => self.write_ecs(event),
            Format::Text { .. } => self.write_text(event),
        }
        self.count += 1;
    }

    fn write_ecs(&mut self, event: &AccessEvent<'_>) {
        let mut line = Line::begin(&mut self.lines);
        line.time("@timestamp", &mut self.stamp, event.timestamp);
        line.written(SAME_IN_EVERY_LINE);
        line.field("event.duration", &nanos(event));
        line.text("http.request.method", event.method.as_str());
        line.text("url.path", event.path);
        line.field("http.response.status_code", &event.status.as_u16());
        line.field("http.request.body.bytes", &event.bytes_in);
        line.field("http.response.body.bytes", &event.bytes_out);
        if let Some(principal) = event.principal {
            line.text("user.name", &principal.identity.username);
            line.text("searchgate.realm", &principal.realm.name);
            line.maybe_text("searchgate.api_key.id", principal.api_key.as_ref().map(|key| &*key.id.0));
        }
        line.maybe("client.ip", event.client.as_ref());
        line.maybe_text("searchgate.upstream", event.upstream);
        line.field("searchgate.attempts", &event.attempts);
        line.maybe_text("searchgate.reason", event.reason);
        line.maybe_text("searchgate.opaque_id", event.opaque_id);
        line.maybe_text("trace.id", event.trace_id());
        line.field("searchgate.aborted", &event.aborted);
        line.end();
    }

    /// For eyes: what is odd in a value is escaped, for a terminal obeys control characters.
    fn write_text(&mut self, event: &AccessEvent<'_>) {
        let lines = &mut self.lines;
        self.stamp.write(lines, event.timestamp);
        let (method, path, status) = (event.method, event.path.escape_debug(), event.status.as_u16());
        let written = write!(lines, " {status} {method} {path} {:?} out={}", event.elapsed, event.bytes_out)
            .and_then(|()| match event.principal {
                Some(principal) => {
                    write!(lines, " user={:?} realm={:?}", principal.identity.username, principal.realm.name)
                }
                None => Ok(()),
            })
            .and_then(|()| event.client.map_or(Ok(()), |client| write!(lines, " client={client}")))
            .and_then(|()| event.upstream.map_or(Ok(()), |upstream| write!(lines, " upstream={upstream}")))
            .and_then(|()| event.reason.map_or(Ok(()), |reason| write!(lines, " reason={reason}")));
        debug_assert!(written.is_ok(), "memory takes every write");
        lines.extend_from_slice(if event.aborted { b" aborted\n" } else { b"\n" });
    }
}

fn nanos(event: &AccessEvent<'_>) -> u64 {
    u64::try_from(event.elapsed.as_nanos()).unwrap_or(u64::MAX)
}

/// Written out, for every request pays for it.
const SAME_IN_EVERY_LINE: &str = r#""log.level":"info","message":"request finished","ecs.version":"8.11.0","service.name":"searchgate","event.dataset":"searchgate.access""#;
/// Buffers a thread may have on their way, besides the one it fills.
const SPARE: usize = 4;
/// A buffer that is handed over at once.
const ENOUGH: usize = 32 << 10;
/// A buffer that takes no more.
const FULL: usize = 256 << 10;

#[cfg(test)]
mod tests;
