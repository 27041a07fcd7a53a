//! What the HTTP server counts, as metrics.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::route::Route;

/// Routes, and one more for what is none.
const ROUTES: usize = Route::NAMES.len() + 1;

/// The upper bounds of the buckets of durations, in microseconds.
const BOUNDS: [u64; 12] =
    [250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 500_000, 1_000_000, 5_000_000];

/// Counts of one route.
#[derive(Default)]
struct Counts {
    /// By the first digit of the status, from 1.
    answers: [AtomicU64; 5],
    /// Durations up to each bound, and beyond the last.
    durations: [AtomicU64; BOUNDS.len() + 1],
    microseconds: AtomicU64,
}

/// Counts of all workers.
#[derive(Default)]
pub(super) struct Meter {
    routes: [Counts; ROUTES],
    /// Connections that are open.
    pub(super) connections: AtomicU64,
    /// Requests that are being answered.
    pub(super) under_way: AtomicU64,
    /// Watches that are open.
    pub(super) watches: AtomicU64,
    /// Bytes of contents that came in.
    pub(super) received: AtomicU64,
    /// Bytes of contents that were asked for.
    pub(super) sent: AtomicU64,
}

impl Meter {
    /// An answer of this status was given after so long; `None` is a request for nothing we have.
    pub(super) fn answered(&self, route: Option<usize>, status: u16, took: Duration) {
        let counts = &self.routes[route.unwrap_or(ROUTES - 1)];
        let class = usize::from(status / 100).clamp(1, 5) - 1;
        counts.answers[class].fetch_add(1, Relaxed);
        let micros = took.as_micros() as u64;
        let bucket = BOUNDS.partition_point(|bound| *bound < micros);
        counts.durations[bucket].fetch_add(1, Relaxed);
        counts.microseconds.fetch_add(micros, Relaxed);
    }

    /// Adds the metrics to those of the server, before the mark at the end if there is one.
    pub(super) fn add_to(&self, metrics: &mut String) {
        const END: &str = "# EOF\n";
        let ended = metrics.ends_with(END);
        if ended {
            metrics.truncate(metrics.len() - END.len());
        }
        self.write(metrics);
        if ended {
            metrics.push_str(END);
        }
    }

    fn write(&self, text: &mut String) {
        let routes = || {
            let names = Route::NAMES.iter().copied().chain(["none"]);
            let used = |(_, counts): &(&str, &Counts)| {
                counts.answers.iter().any(|count| count.load(Relaxed) > 0)
            };
            names.zip(&self.routes).filter(used)
        };
        head(text, "jangada_http_requests", "counter", "Requests answered.");
        for (route, counts) in routes() {
            for (class, count) in (1..).zip(&counts.answers) {
                let count = count.load(Relaxed);
                if count > 0 {
                    let labels = format!("route=\"{route}\",status=\"{class}xx\"");
                    line(text, "jangada_http_requests_total", &labels, count);
                }
            }
        }
        let name = "jangada_http_request_duration_seconds";
        head(text, name, "histogram", "From the headers of a request to those of its answer.");
        for (route, counts) in routes() {
            let mut count = 0;
            let bounds = BOUNDS.iter().map(|micros| (*micros as f64 / 1e6).to_string());
            for (bound, more) in bounds.chain(["+Inf".to_owned()]).zip(&counts.durations) {
                count += more.load(Relaxed);
                let labels = format!("route=\"{route}\",le=\"{bound}\"");
                line(text, &format!("{name}_bucket"), &labels, count);
            }
            let labels = format!("route=\"{route}\"");
            line(text, &format!("{name}_count"), &labels, count);
            let seconds = counts.microseconds.load(Relaxed) as f64 / 1e6;
            line(text, &format!("{name}_sum"), &labels, seconds);
        }
        let gauges = [
            ("jangada_http_connections", "Connections that are open.", &self.connections),
            ("jangada_http_requests_in_flight", "Requests being answered.", &self.under_way),
            ("jangada_http_watches", "Watches that are open.", &self.watches),
        ];
        for (name, help, value) in gauges {
            head(text, name, "gauge", help);
            line(text, name, "", value.load(Relaxed));
        }
        let bytes = [
            ("jangada_http_received_bytes", "Contents that came in.", &self.received),
            ("jangada_http_sent_bytes", "Contents that were asked for.", &self.sent),
        ];
        for (name, help, value) in bytes {
            head(text, name, "counter", help);
            line(text, &format!("{name}_total"), "", value.load(Relaxed));
        }
    }
}

fn head(text: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

fn line(text: &mut String, name: &str, labels: &str, value: impl std::fmt::Display) {
    let labels = if labels.is_empty() { String::new() } else { format!("{{{labels}}}") };
    let _ = writeln!(text, "{name}{labels} {value}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_count_by_route_and_class_and_stand_before_the_end() {
        let meter = Meter::default();
        meter.answered(Some(0), 201, Duration::from_micros(300));
        meter.answered(Some(0), 200, Duration::from_secs(9));
        meter.answered(None, 404, Duration::ZERO);
        let mut text = "jangada_other 1\n# EOF\n".to_owned();
        meter.add_to(&mut text);
        assert!(text.starts_with("jangada_other 1\n# HELP") && text.ends_with(" 0\n# EOF\n"));
        for line in [
            "jangada_http_requests_total{route=\"put\",status=\"2xx\"} 2",
            "jangada_http_requests_total{route=\"none\",status=\"4xx\"} 1",
            "jangada_http_request_duration_seconds_bucket{route=\"put\",le=\"0.00025\"} 0",
            "jangada_http_request_duration_seconds_bucket{route=\"put\",le=\"0.0005\"} 1",
            "jangada_http_request_duration_seconds_bucket{route=\"put\",le=\"+Inf\"} 2",
            "jangada_http_request_duration_seconds_count{route=\"put\"} 2",
        ] {
            assert!(text.contains(&format!("{line}\n")), "{line} is not in:\n{text}");
        }
        assert_eq!(text.matches("# EOF").count(), 1);
    }
}
