//! The body of an answer while it arrives: passed on piece by piece, until it ends, pauses for too long, or its time is over.

use std::{
    collections::VecDeque,
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use bytes::Bytes;
use connector_protocol::{Error, ErrorKind};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::Sleep;

use crate::egress::{BoxBody, lost::Asked};

/// How much of a refusal is looked into, in bytes. One that is longer is told by its status and headers.
pub(super) const LOOK: usize = 64 * 1024;

/// How long it is waited for. Somebody waits for the head meanwhile.
const LOOK_TIME: Duration = Duration::from_secs(5);

/// A body that arrives.
pub(super) struct Arriving {
    /// What was looked at already.
    head: VecDeque<Frame<Bytes>>,
    rest: BoxBody,
    /// How it ended, if it has.
    end: Option<Option<Error>>,
    /// When it has paused for too long. It runs only while somebody waits for more.
    timer: Option<Pin<Box<Sleep>>>,
    idle: Duration,
    deadline: Instant,
    who: String,
}

impl Arriving {
    pub(super) fn new(rest: BoxBody, idle: Duration, deadline: Instant, asked: &Asked<'_>) -> Self {
        let who = format!("{} ({})", asked.manifest.title, asked.host);
        Self { head: VecDeque::new(), rest, end: None, timer: None, idle, deadline, who }
    }

    /// All of the body, if it is short and comes soon. It is given back unchanged in any case.
    pub(super) async fn look(&mut self) -> Option<Vec<u8>> {
        let until = self.deadline.min(Instant::now() + LOOK_TIME);
        let (mut frames, mut seen) = (VecDeque::new(), Vec::new());
        let whole = loop {
            if seen.len() > LOOK {
                break false;
            }
            match tokio::time::timeout_at(until.into(), self.frame()).await {
                Ok(Some(Ok(frame))) => {
                    seen.extend_from_slice(frame.data_ref().map_or(&[], |data| data));
                    frames.push_back(frame);
                }
                Ok(Some(Err(error))) => {
                    self.end = Some(Some(error));
                    break false;
                }
                Ok(None) => {
                    self.end = Some(None);
                    break true;
                }
                Err(_) => break false,
            }
        };
        self.head = frames;
        (whole && seen.len() <= LOOK).then_some(seen)
    }

    fn late(&self) -> Error {
        Error::new(ErrorKind::Timeout, format!("{} did not send all of its answer in time", self.who))
    }
}

impl Body for Arriving {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if let Some(frame) = self.head.pop_front() {
            return Poll::Ready(Some(Ok(frame)));
        }
        if let Some(end) = &mut self.end {
            return Poll::Ready(end.take().map(Err));
        }
        // One who sends without a pause would never be asked for the time by the timer.
        if Instant::now() >= self.deadline {
            self.end = Some(None);
            return Poll::Ready(Some(Err(self.late())));
        }
        if let Poll::Ready(frame) = Pin::new(&mut self.rest).poll_frame(context) {
            self.timer = None;
            return Poll::Ready(frame.map(|frame| {
                frame.map_err(|error| {
                    self.end = Some(None);
                    Error { message: format!("{} broke off: {}", self.who, error.message), ..error }
                })
            }));
        }
        let until = self.deadline.min(Instant::now() + self.idle);
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(until.into())));
        if timer.as_mut().poll(context).is_pending() {
            return Poll::Pending;
        }
        self.end = Some(None);
        Poll::Ready(Some(Err(self.late())))
    }

    fn is_end_stream(&self) -> bool {
        self.head.is_empty() && self.end.as_ref().map_or_else(|| self.rest.is_end_stream(), Option::is_none)
    }

    fn size_hint(&self) -> SizeHint {
        let head = self.head.iter().filter_map(Frame::data_ref).map(|data| data.len() as u64).sum::<u64>();
        let mut hint = SizeHint::new();
        let rest = match &self.end {
            Some(None) => return SizeHint::with_exact(head),
            // What breaks off must not look as if it were all.
            Some(Some(_)) => hint,
            None => self.rest.size_hint(),
        };
        hint.set_lower(rest.lower() + head);
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper + head);
        }
        hint
    }
}
