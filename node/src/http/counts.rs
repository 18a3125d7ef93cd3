//! What the HTTP side counts about itself, for `/metrics`. Numbers only: no path, no person.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use axum::http::StatusCode;

/// Counters since the start of the process.
#[derive(Debug, Default)]
pub struct Counts {
    informed: AtomicU64,
    succeeded: AtomicU64,
    redirected: AtomicU64,
    refused: AtomicU64,
    failed: AtomicU64,
    connections: AtomicUsize,
    connections_refused: AtomicU64,
    pub(super) streams: AtomicUsize,
    pub(super) streams_reloaded: AtomicU64,
    pub(super) alerts: AtomicU64,
    pub(super) commits: AtomicU64,
}

impl Counts {
    pub(super) fn answered(&self, status: StatusCode) {
        let counter = match status.as_u16() {
            0..200 => &self.informed,
            200..300 => &self.succeeded,
            300..400 => &self.redirected,
            400..500 => &self.refused,
            500.. => &self.failed,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Takes one of `max` places for a connection.
    pub(super) fn connect(&self, max: usize) -> bool {
        let taken = self
            .connections
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |now| (now < max).then_some(now + 1));
        if taken.is_err() {
            self.connections_refused.fetch_add(1, Ordering::Relaxed);
        }
        taken.is_ok()
    }

    pub(super) fn disconnect(&self) {
        self.connections.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn refuse_connection(&self) {
        self.connections_refused.fetch_add(1, Ordering::Relaxed);
    }

    /// Appends the counters in Prometheus' text form.
    pub(super) fn write(&self, text: &mut String) {
        use std::fmt::Write as _;
        let _ = writeln!(text, "# HELP cuadra_http_answers_total Answers by class of status.");
        let _ = writeln!(text, "# TYPE cuadra_http_answers_total counter");
        let classes = [
            ("1xx", &self.informed),
            ("2xx", &self.succeeded),
            ("3xx", &self.redirected),
            ("4xx", &self.refused),
            ("5xx", &self.failed),
        ];
        for (class, counter) in classes {
            let _ = writeln!(
                text,
                "cuadra_http_answers_total{{class=\"{class}\"}} {}",
                counter.load(Ordering::Relaxed)
            );
        }
        let gauges = [
            ("cuadra_http_connections", "Open connections.", self.connections.load(Ordering::Relaxed)),
            ("cuadra_http_event_streams", "Open event streams.", self.streams.load(Ordering::Relaxed)),
        ];
        for (name, help, value) in gauges {
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}");
        }
        let totals = [
            ("cuadra_alerts_stored_total", "New alerts stored over HTTP.", &self.alerts),
            ("cuadra_commits_told_total", "Commits told to event streams.", &self.commits),
            (
                "cuadra_http_connections_refused_total",
                "Connections closed at a limit.",
                &self.connections_refused,
            ),
            ("cuadra_http_event_reloads_total", "Readers told to load again.", &self.streams_reloaded),
        ];
        for (name, help, counter) in totals {
            let value = counter.load(Ordering::Relaxed);
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} counter\n{name} {value}");
        }
    }
}
