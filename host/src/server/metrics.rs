//! What is counted, in the words of Prometheus. No label holds anything that somebody outside could make up: the number of
//! series is bounded.

use std::{
    fmt::Write,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use axum::{
    extract::State as Shared,
    http::{Method, StatusCode, header},
    response::{IntoResponse, Response},
};

use super::State;

/// The upper ends of the buckets of a duration, in seconds.
const BUCKETS: [f64; 9] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0];

/// What addresses are counted as.
const KINDS: [&str; 7] = ["api", "proxy", "action", "connect", "vendor", "webhook", "other"];

/// What is counted.
#[derive(Default)]
pub(crate) struct Counts {
    /// By kind of address and class of status.
    requests: [[AtomicU64; 5]; KINDS.len()],
    /// By kind of address and bucket, the last one for what took longer than all.
    took: [[AtomicU64; BUCKETS.len() + 1]; KINDS.len()],
    /// Microseconds, by kind of address.
    sum: [AtomicU64; KINDS.len()],
}

/// A request that is being answered.
pub(super) struct Counted<'a> {
    counts: &'a Counts,
    kind: usize,
    begun: Instant,
}

fn kind(method: &Method, path: &str) -> usize {
    let name = if super::paragon::project_of(path).is_some() {
        "vendor"
    } else if path.starts_with("/v1/connections/") && path.contains("/proxy/") {
        "proxy"
    } else if path.starts_with("/v1/invocations") && method == Method::POST || path.contains("/actions/") {
        "action"
    } else if path.starts_with("/v1/") {
        "api"
    } else if path.starts_with("/connect/") || path.starts_with("/oauth/") {
        "connect"
    } else if path.starts_with("/webhooks/") {
        "webhook"
    } else {
        "other"
    };
    KINDS.iter().position(|kind| *kind == name).unwrap_or(KINDS.len() - 1)
}

impl Counts {
    pub(super) fn request(&self, method: &Method, path: &str) -> Counted<'_> {
        Counted { counts: self, kind: kind(method, path), begun: Instant::now() }
    }
}

impl Counted<'_> {
    pub(super) fn answered(self, status: StatusCode) {
        let class = usize::from(status.as_u16() / 100).clamp(1, 5) - 1;
        self.counts.requests[self.kind][class].fetch_add(1, Ordering::Relaxed);
        let took = self.begun.elapsed();
        let bucket = BUCKETS.iter().position(|end| took.as_secs_f64() <= *end).unwrap_or(BUCKETS.len());
        self.counts.took[self.kind][bucket].fetch_add(1, Ordering::Relaxed);
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.counts.sum[self.kind].fetch_add(micros, Ordering::Relaxed);
    }
}

pub(super) async fn show(Shared(state): Shared<Arc<State>>) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text(&state)).into_response()
}

fn text(state: &State) -> String {
    let mut out = String::new();
    let head = |out: &mut String, name: &str, kind: &str, about: &str| {
        let _ = writeln!(out, "# HELP {name} {about}\n# TYPE {name} {kind}");
    };
    let counts = &state.counts;
    head(&mut out, "jackfield_requests_total", "counter", "Requests that were answered.");
    for (kind, classes) in KINDS.iter().zip(&counts.requests) {
        for (class, count) in classes.iter().enumerate() {
            let count = count.load(Ordering::Relaxed);
            if count > 0 {
                let class = class + 1;
                let _ =
                    writeln!(out, "jackfield_requests_total{{kind=\"{kind}\",status=\"{class}xx\"}} {count}");
            }
        }
    }
    let name = "jackfield_request_duration_seconds";
    head(&mut out, name, "histogram", "How long answers took to begin.");
    for (index, kind) in KINDS.iter().enumerate() {
        let mut total = 0;
        for (bucket, count) in counts.took[index].iter().enumerate() {
            total += count.load(Ordering::Relaxed);
            let end = BUCKETS.get(bucket).map_or("+Inf".to_owned(), ToString::to_string);
            let _ = writeln!(out, "{name}_bucket{{kind=\"{kind}\",le=\"{end}\"}} {total}");
        }
        #[expect(clippy::cast_precision_loss, reason = "nobody counts microseconds for that long")]
        let sum = counts.sum[index].load(Ordering::Relaxed) as f64 / 1e6;
        let _ = writeln!(out, "{name}_sum{{kind=\"{kind}\"}} {sum}\n{name}_count{{kind=\"{kind}\"}} {total}");
    }
    let health = state.health();
    let gauges = [
        ("jackfield_up_seconds", "How long it has run.", health.up_seconds),
        ("jackfield_running", "Invocations that are under way.", health.running as u64),
        ("jackfield_connectors", "Connectors that can be used.", health.connectors as u64),
        ("jackfield_workers", "Processes that run connectors.", state.host.workers.running().len() as u64),
    ];
    for (name, about, value) in gauges {
        head(&mut out, name, "gauge", about);
        let _ = writeln!(out, "{name} {value}");
    }
    let refreshes = state.host.connections.refreshes();
    head(&mut out, "jackfield_refreshes_total", "counter", "Tokens that were renewed, or were not.");
    let _ = writeln!(out, "jackfield_refreshes_total{{outcome=\"done\"}} {}", refreshes.0);
    let _ = writeln!(out, "jackfield_refreshes_total{{outcome=\"failed\"}} {}", refreshes.1);
    let events = &state.host.events;
    let name = "jackfield_deliveries_total";
    head(&mut out, name, "counter", "Webhook requests, by what became of them.");
    let counts = &events.hooks.counts;
    for (outcome, count) in [
        ("kept", &counts.kept),
        ("kept_already", &counts.again),
        ("unreadable", &counts.unreadable),
        ("handshake", &counts.handshakes),
        ("turned_away", &counts.turned_away),
    ] {
        let _ = writeln!(out, "{name}{{outcome=\"{outcome}\"}} {}", count.load(Ordering::Relaxed));
    }
    let name = "jackfield_deliveries_refused_total";
    head(&mut out, name, "counter", "Webhook requests that were refused, by reason.");
    let mut refused: Vec<(&str, u64)> = counts.refusals();
    refused.sort_unstable();
    for (reason, count) in refused {
        let _ = writeln!(out, "{name}{{reason=\"{reason}\"}} {count}");
    }
    out
}
