//! Raw requests to a provider, as a connection and without an action.

use std::time::Instant;

use axum::body::{Body, HttpBody};
use connector_protocol::{Error, ErrorKind, Result, answers::AnswerClass};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use url::Url;

use crate::{
    egress::{self, BoxBody, RawBody},
    host::Host,
    store::Scope,
};

/// How large a body may be that is kept to be sent again, in bytes: should the token have ended, this one can be replayed.
const KEPT: u64 = 1024 * 1024;

/// A request as it came.
pub struct Raw {
    /// Its method.
    pub method: http::Method,
    /// The path at the provider, percent-encoded as it came.
    pub path: String,
    /// The query as it came.
    pub query: Option<String>,
    /// A full address in the place of a path.
    pub url: Option<String>,
    /// Its headers.
    pub headers: http::HeaderMap,
    /// Its body.
    pub body: Body,
}

impl Host {
    /// Sends a request as a connection, and gives the provider's answer as it is. A request that was refused because the token
    /// had ended is sent once more with a later one, if its body is still there.
    ///
    /// # Errors
    ///
    /// If it may not go where it leads, if the connection cannot be used, or if no answer came.
    pub async fn raw(
        &self,
        scope: &Scope,
        id: &str,
        raw: Raw,
        deadline: Instant,
    ) -> Result<http::Response<BoxBody>> {
        let held = self.connections.held(scope, id)?;
        let setting = self.setting(&held.connection.connector)?;
        let holder = held.connection.holder.clone();
        let used = self.connections.credential_of(&setting, scope, held, deadline).await?;
        let url = raw.url.as_deref().map(Url::parse).transpose().map_err(|_| {
            Error::new(ErrorKind::Usage, "the address to send it to is none")
                .hint("write it as https://host/path")
        })?;
        let request = egress::Raw {
            method: raw.method,
            path: raw.path,
            query: raw.query,
            base: None,
            url,
            headers: raw.headers,
            body: take(raw.body).await?,
        };
        let again = request.again();
        let version = used.version;
        let target = setting.target(used.credential, &used.connection.holder);
        let first = setting.egress.proxy(&target, request, deadline).await?;
        // Any address may answer that it knows nobody. Where another token did not help a moment ago, none is asked for again.
        if first.class != AnswerClass::Expired || self.connections.was_in_vain(&holder) {
            return Ok(first.response);
        }
        let used = self.connections.later(&setting, scope, id, version, deadline).await?;
        // What has gone by cannot be sent again; the next request will have the token.
        let Some(again) = again else { return Ok(first.response) };
        let target = setting.target(used.credential.clone(), &used.connection.holder);
        let second = setting.egress.proxy(&target, again, deadline).await?;
        if second.class == AnswerClass::Expired {
            // Whether it is the token or the address, somebody else has to say: others may share the grant.
            match self.identify(&setting, used.credential, Instant::now() + super::account::PATIENCE).await {
                Err(error) if error.kind == ErrorKind::Unauthorized => {
                    let reason = "the provider does not accept a token that it has just given";
                    self.connections.condemn(&used.connection, used.version, reason).await;
                }
                _ => self.connections.note_in_vain(holder),
            }
        }
        Ok(second.response)
    }
}

/// The body: whole, if it is said to be small; otherwise as it comes.
async fn take(body: Body) -> Result<RawBody> {
    let hint = body.size_hint();
    if hint.upper().is_some_and(|upper| upper <= KEPT) {
        let limit = usize::try_from(KEPT).unwrap_or(usize::MAX);
        let whole = Limited::new(body, limit).collect().await.map_err(|error| {
            let text = match error.downcast_ref::<LengthLimitError>() {
                Some(_) => "the request is longer than it says",
                None => "the request broke off before it was whole",
            };
            Error::new(ErrorKind::Usage, text)
        })?;
        return Ok(RawBody::Whole(whole.to_bytes()));
    }
    let broken = |_| Error::new(ErrorKind::Usage, "the request broke off before it was whole");
    Ok(RawBody::Streamed(body.map_err(broken).boxed_unsync()))
}
