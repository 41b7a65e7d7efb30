//! stub
use std::time::Instant;
use crate::{host::Host,store::Scope};
use connector_protocol::Result;
/// r
pub struct Raw { pub method: http::Method, pub path: String, pub query: Option<String>, pub url: Option<String>, pub headers: http::HeaderMap, pub body: axum::body::Body }
impl Host { /// x
 pub async fn raw(&self,_s:&Scope,_id:&str,_raw:Raw,_d:Instant)->Result<http::Response<axum::body::Body>>{unimplemented!()} }
