//! Which headers pass from a user to a provider, and which come back.

use connector_protocol::{Manifest, manifest::Placement};
use http::{HeaderMap, HeaderName, HeaderValue, header};

/// Headers of a request that pass, besides what begins with `x-`.
const PASSED_ON: &[&str] = &[
    "accept",
    "accept-language",
    "content-encoding",
    "content-language",
    "content-type",
    "idempotency-key",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "prefer",
    "range",
    "user-agent",
];

/// What begins with `x-` and does not pass: what proxies say of whoever asks, what makes another method or another address of
/// a request after it was checked, and what is said to Jackfield itself.
const KEPT_BACK: &[&str] = &[
    "x-accel-",
    "x-amzn-",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-envoy-",
    "x-forwarded",
    "x-host",
    "x-http-method",
    "x-jackfield-",
    "x-method-override",
    "x-original-",
    "x-paragon-",
    "x-real-ip",
    "x-rewrite-url",
];

/// What belongs to one connection, and never passes.
const HOP_BY_HOP: &[&str] = &[
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// What a provider says to a browser of its own origin, and which would be taken for a word about ours.
const OF_THE_ORIGIN: &[&str] = &[
    "access-control-",
    "alt-svc",
    "clear-site-data",
    "nel",
    "public-key-pins",
    "report-to",
    "reporting-endpoints",
    "service-worker-allowed",
    "set-cookie",
    "strict-transport-security",
];

/// What a user's request carries to the provider. The credential is not on it yet.
pub(super) fn passed_on(sent: &HeaderMap, manifest: &Manifest) -> HeaderMap {
    let placements = || manifest.auth.iter().flat_map(|auth| &auth.placement);
    let is_placed = |name: &HeaderName| {
        placements().any(|placement| {
            matches!(placement, Placement::Header { name: placed, .. } if name.as_str().eq_ignore_ascii_case(placed))
        })
    };
    let is_custom =
        |name: &str| name.starts_with("x-") && !KEPT_BACK.iter().any(|kept_back| name.starts_with(kept_back));
    let named = named_by_connection(sent);
    let mut headers = HeaderMap::with_capacity(sent.len() + 3);
    for (name, value) in sent {
        let passes = PASSED_ON.contains(&name.as_str()) || is_custom(name.as_str());
        if passes && !named.contains(name) && !is_placed(name) {
            headers.append(name, value.clone());
        }
    }
    // Nothing is unpacked on the way, and a refusal has to be understood.
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers
        .entry(header::USER_AGENT)
        .or_insert(HeaderValue::from_static(concat!("jackfield/", env!("CARGO_PKG_VERSION"))));
    headers
}

/// Takes off an answer what does not come back.
pub(super) fn come_back(headers: &mut HeaderMap) {
    for name in named_by_connection(headers) {
        headers.remove(name);
    }
    let stays =
        |name: &str| !HOP_BY_HOP.contains(&name) && !OF_THE_ORIGIN.iter().any(|said| name.starts_with(said));
    let gone: Vec<HeaderName> = headers.keys().filter(|name| !stays(name.as_str())).cloned().collect();
    for name in gone {
        headers.remove(name);
    }
}

/// The headers that belong to the connection because it says so.
fn named_by_connection(headers: &HeaderMap) -> Vec<HeaderName> {
    let values = headers.get_all(header::CONNECTION).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).filter_map(|name| name.trim().parse().ok()).collect()
}
