//! What has been received, as it was received, for tests that ask what a client really sent. Credentials are reduced
//! to what they are worth; everything else is kept, bodies with whatever secrets they carry included.

use std::collections::VecDeque;

use axum::http::StatusCode;
use axum::http::header::AUTHORIZATION;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::Serialize;

use crate::exchange::Request;
use crate::oauth::authority::Worth;

/// How many requests are remembered.
const KEPT: usize = 10_000;

/// The `Authorization` header of a request, without the credentials.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Authorization {
    pub(crate) scheme: String,
    pub(crate) worth: Worth,
}

/// A request, and what became of it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Entry {
    pub(crate) number: u64,
    at: String,
    pub(crate) method: String,
    pub(crate) path: String,
    query: Option<String>,
    authorization: Option<Authorization>,
    /// In order, names in lower case, without `authorization`.
    headers: Vec<(String, String)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<String>,
    /// A body that is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    body_base64: Option<String>,
    /// The fault that happened to it.
    fault: Option<u64>,
    /// The status of the answer. None yet, or nothing that has one.
    status: Option<u16>,
    /// What the answer does not say.
    explanation: Option<String>,
}

/// The requests so far, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    entries: VecDeque<Entry>,
    last: u64,
}

impl Journal {
    /// Enters a request. Answers its number.
    pub(crate) fn open(
        &mut self,
        request: &Request,
        authorization: Option<Authorization>,
        fault: Option<u64>,
        at: Timestamp,
    ) -> u64 {
        self.last += 1;
        let text = std::str::from_utf8(&request.body).ok();
        let headers = request.headers.iter().filter(|(name, _)| *name != AUTHORIZATION);
        self.entries.push_back(Entry {
            number: self.last,
            at: at.to_string(),
            method: request.method.to_string(),
            path: request.path.clone(),
            query: request.query.clone(),
            authorization,
            headers: headers
                .map(|(name, value)| {
                    (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
                })
                .collect(),
            body: text.map(str::to_owned),
            body_base64: if text.is_none() { Some(STANDARD.encode(&request.body)) } else { None },
            fault,
            status: None,
            explanation: None,
        });
        if self.entries.len() > KEPT {
            self.entries.pop_front();
        }
        self.last
    }

    /// Adds what was answered. Nothing happens if the journal has been cleared since.
    pub(crate) fn close(&mut self, number: u64, status: StatusCode, explanation: Option<String>) {
        if let Some(entry) = self.entries.iter_mut().rev().find(|entry| entry.number == number) {
            entry.status = Some(status.as_u16());
            entry.explanation = explanation;
        }
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Numbers go on from where they were.
    pub(crate) fn clear(&mut self) {
        self.entries.clear();
    }
}
