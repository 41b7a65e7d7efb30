//! Nothing unwinds out of a library: every entry - a call, a poll, a drop - is caught here and becomes an error.
//!
//! The payload of a panic is never dropped, because its own drop may panic.

use std::{
    any::Any,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Mutex,
    task::{Context, Poll},
};

use connector_protocol::{Error, ErrorKind, Result};

/// Where the last panic happened and what it said, as the panic hook saw it.
static LAST: Mutex<Option<String>> = Mutex::new(None);

/// Notes where a panic happens instead of printing it. For a library that a host has loaded; its standard library is its
/// own, so no other hook is touched.
pub(crate) fn note_panics() {
    std::panic::set_hook(Box::new(|info| {
        let place = info.location().map_or(String::new(), |at| format!(" at {}:{}", at.file(), at.line()));
        let text = format!("{}{place}", words(info.payload()));
        if let Ok(mut last) = LAST.lock() {
            *last = Some(text);
        }
    }));
}

/// Runs `entry`; a panic in it is an error.
pub(crate) fn guard<T>(entry: impl FnOnce() -> T) -> Result<T> {
    catch_unwind(AssertUnwindSafe(entry)).map_err(panicked)
}

fn panicked(payload: Box<dyn Any + Send>) -> Error {
    let noted = LAST.lock().ok().and_then(|mut last| last.take());
    let text = noted.unwrap_or_else(|| words(payload.as_ref()));
    std::mem::forget(payload);
    Error::new(ErrorKind::ConnectorPanicked, format!("the connector panicked: {text}"))
}

fn words(payload: &(dyn Any + Send)) -> String {
    let text = payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    // One line, and not a long one: it ends up in an error message.
    text.unwrap_or("(no message)").chars().take(500).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// A future whose polls and whose drop cannot unwind.
pub(crate) struct Guarded<T> {
    /// `None` once it has answered, panicked or been dropped.
    inner: Option<Pin<Box<dyn Future<Output = Result<T>> + Send>>>,
}

impl<T> Guarded<T> {
    pub(crate) fn new(inner: impl Future<Output = Result<T>> + Send + 'static) -> Self {
        Self { inner: Some(Box::pin(inner)) }
    }

    fn discard(&mut self) {
        if let Some(inner) = self.inner.take() {
            let _ = guard(|| drop(inner));
        }
    }
}

impl<T> Future for Guarded<T> {
    type Output = Result<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(inner) = &mut self.inner else {
            return Poll::Ready(Err(Error::new(ErrorKind::CallEnded, "the call has already ended")));
        };
        let polled = guard(|| inner.as_mut().poll(context));
        match polled {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(result)) => {
                self.discard();
                Poll::Ready(result)
            }
            Err(error) => {
                self.discard();
                Poll::Ready(Err(error))
            }
        }
    }
}

impl<T> Drop for Guarded<T> {
    fn drop(&mut self) {
        self.discard();
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    struct PanicsOnDrop;

    impl Drop for PanicsOnDrop {
        fn drop(&mut self) {
            panic!("in drop");
        }
    }

    fn poll<T>(future: &mut Guarded<T>) -> Poll<Result<T>> {
        Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn a_panic_in_a_poll_is_an_error_and_the_future_is_done() {
        let mut future: Guarded<()> = Guarded::new(async { panic!("on {} purpose\n", 1) });
        let Poll::Ready(Err(error)) = poll(&mut future) else { panic!("it must be an error") };
        assert_eq!(error.kind, ErrorKind::ConnectorPanicked);
        assert!(error.message.contains("on 1 purpose") && !error.message.contains('\n'), "{error}");
        assert!(matches!(poll(&mut future), Poll::Ready(Err(error)) if error.kind == ErrorKind::CallEnded));
    }

    #[test]
    fn a_panic_while_dropping_is_contained_whenever_it_comes() {
        let mut ends: Guarded<()> = Guarded::new(async {
            let _local = PanicsOnDrop;
            Ok(())
        });
        assert!(matches!(poll(&mut ends), Poll::Ready(Err(_))));

        let mut cancelled: Guarded<()> = Guarded::new(async {
            let _local = PanicsOnDrop;
            std::future::pending().await
        });
        assert!(poll(&mut cancelled).is_pending());
        drop(cancelled);
    }

    #[test]
    fn a_payload_that_panics_when_dropped_is_never_dropped() {
        let mut future: Guarded<()> = Guarded::new(async { std::panic::panic_any(PanicsOnDrop) });
        assert!(matches!(poll(&mut future), Poll::Ready(Err(_))));
    }
}
