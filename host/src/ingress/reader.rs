//! What stands in a request: its outer form, and the values that a declaration selects.

use std::cell::OnceCell;

use aws_lc_rs::digest;
use connector_protocol::manifest::{EventName, HandshakeAnswer, HandshakeValue, Select, Verify, Webhook};
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use url::form_urlencoded;

use super::{
    Refusal, Request,
    body::{self, Body, BodyFault, Found, Kind, Pointer, Scalar},
    encoding,
};

/// A request, read by a declaration. The body is read at most once, when something in it is first asked for.
pub(super) struct Reader<'a> {
    pub(super) webhook: &'a Webhook,
    pub(super) request: &'a Request<'a>,
    body: OnceCell<Result<Body, BodyFault>>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(webhook: &'a Webhook, request: &'a Request<'a>) -> Self {
        Self { webhook, request, body: OnceCell::new() }
    }

    /// Refuses a method that neither deliveries nor handshakes have.
    pub(super) fn check_method(&self) -> Result<(), Refusal> {
        let handshakes = self.webhook.handshakes.iter().map(|handshake| &handshake.method);
        self.allow(self.webhook.methods.iter().chain(handshakes))
    }

    /// Refuses a method that deliveries do not have.
    pub(super) fn check_delivery_method(&self) -> Result<(), Refusal> {
        self.allow(self.webhook.methods.iter())
    }

    /// Refuses a method that neither deliveries nor signed handshakes have.
    pub(super) fn check_signed_method(&self) -> Result<(), Refusal> {
        let handshakes = self.webhook.handshakes.iter();
        let signed = handshakes.filter(|handshake| handshake.signed).map(|handshake| &handshake.method);
        self.allow(self.webhook.methods.iter().chain(signed))
    }

    fn allow<'m>(&self, methods: impl Iterator<Item = &'m String>) -> Result<(), Refusal> {
        let mut allowed: Vec<String> = Vec::new();
        for method in methods {
            if method == self.request.method {
                return Ok(());
            }
            if !allowed.contains(method) {
                allowed.push(method.clone());
            }
        }
        Err(Refusal::WrongMethod { allowed })
    }

    /// Refuses a compressed body: what is signed are the bytes before or after, and nobody says which.
    pub(super) fn check_content_encoding(&self) -> Result<(), Refusal> {
        let mut codings = self.request.headers.get_all(CONTENT_ENCODING).iter();
        if codings.all(|coding| coding.as_bytes().eq_ignore_ascii_case(b"identity")) {
            return Ok(());
        }
        Err(Refusal::Compressed)
    }

    /// Refuses a body of a type that the webhook does not have. A request without a body needs no type if its method
    /// usually has none.
    pub(super) fn check_content_type(&self) -> Result<(), Refusal> {
        let bare = self.request.method == "GET"
            && self.request.body.is_empty()
            && !self.request.headers.contains_key(CONTENT_TYPE);
        if bare || self.declared_type().is_some() {
            return Ok(());
        }
        Err(Refusal::WrongContentType)
    }

    /// The media type of the request, if it has just one, and that is one which the webhook has.
    fn declared_type(&self) -> Option<&'a str> {
        let mut types = self.request.headers.get_all(CONTENT_TYPE).iter();
        let (Some(one), None) = (types.next(), types.next()) else {
            return None;
        };
        let media_type = one.to_str().ok()?.split(';').next()?.trim();
        let known = |declared: &String| declared.eq_ignore_ascii_case(media_type);
        self.webhook.content_types.iter().any(known).then_some(media_type)
    }

    /// Whether the body is JSON by its type.
    pub(super) fn is_json(&self) -> bool {
        let json = |media_type: &str| {
            let media_type = media_type.to_ascii_lowercase();
            media_type == "application/json" || media_type.ends_with("+json")
        };
        self.declared_type().is_some_and(json)
    }

    /// The body, read for everything that the declaration points to.
    pub(super) fn body(&self) -> Result<&Body, BodyFault> {
        let read =
            || body::read(self.request.body, &pointers(self.webhook).map(Pointer::new).collect::<Vec<_>>());
        self.body.get_or_init(read).as_ref().map_err(|fault| *fault)
    }

    /// The values of a selection. In a body that is not JSON, pointers lead nowhere.
    pub(super) fn values(&self, select: &Select) -> Result<Found, Refusal> {
        let text = |text: &str| Scalar::Text(text.to_owned());
        Ok(match select {
            Select::Header(name) => {
                Found { values: self.header_text(name)?.map(text).into_iter().collect(), gap: false }
            }
            Select::Pointer(pointer) if self.is_json() => {
                let at = pointers(self.webhook).position(|declared| declared == pointer);
                let body = self.body()?;
                at.and_then(|at| body.found.get(at)).cloned().unwrap_or_default()
            }
            Select::Pointer(_) => Found::default(),
            Select::Query(name) => Found { values: self.query(name), gap: false },
            Select::BodyHash => Found { values: vec![Scalar::Text(self.body_hash())], gap: false },
        })
    }

    /// The value of a selection, if it is just one.
    pub(super) fn one(&self, select: &Select) -> Result<Option<Scalar>, Refusal> {
        let mut values = self.values(select)?.values;
        Ok(if values.len() == 1 { values.pop() } else { None })
    }

    /// What a selection says, if it says something.
    fn said(&self, select: &Select) -> Result<Option<String>, Refusal> {
        let value = self.one(select)?;
        let said = value.as_ref().and_then(Scalar::say);
        Ok(said.filter(|text| !text.is_empty()).map(str::to_owned))
    }

    /// A header that may be there once. An empty one is as good as none.
    pub(super) fn header(&self, name: &str) -> Result<Option<&'a [u8]>, Refusal> {
        let mut values = self.request.headers.get_all(name).iter();
        match (values.next(), values.next()) {
            (Some(_), Some(_)) => Err(Refusal::DoubledHeader { name: name.to_owned() }),
            (Some(value), None) if !value.is_empty() => Ok(Some(value.as_bytes())),
            _ => Ok(None),
        }
    }

    /// The values of a parameter of the query string, decoded.
    fn query(&self, name: &str) -> Vec<Scalar> {
        let url = self.request.url.split('#').next().unwrap_or_default();
        let query = url.split_once('?').map_or("", |(_, query)| query);
        form_urlencoded::parse(query.as_bytes())
            .filter(|(key, _)| key == name)
            .map(|(_, value)| Scalar::Text(value.into_owned()))
            .collect()
    }

    fn header_text(&self, name: &str) -> Result<Option<&'a str>, Refusal> {
        Ok(self.header(name)?.and_then(|value| std::str::from_utf8(value).ok()))
    }

    /// The event's name.
    pub(super) fn event(&self) -> Result<Option<String>, Refusal> {
        let select = match &self.webhook.event {
            Some(EventName::Header(name)) => Select::Header(name.clone()),
            Some(EventName::Pointer(pointer)) => {
                // An event may lack a name, but what could not even have one is no event.
                let first = pointer.split('/').nth(1).unwrap_or_default();
                let fits = |kind: Kind| match kind {
                    Kind::Object => true,
                    Kind::List => first.parse::<usize>().is_ok(),
                    Kind::Scalar => false,
                };
                if self.is_json() && !fits(self.body()?.kind) {
                    return Err(BodyFault::NotAnObject.into());
                }
                Select::Pointer(pointer.clone())
            }
            None => return Ok(None),
        };
        self.said(&select)
    }

    /// What tells a delivery apart.
    pub(super) fn distinct(&self) -> Result<Vec<String>, Refusal> {
        let mut distinct = Vec::new();
        for select in &self.webhook.distinct {
            match self.said(select)? {
                Some(text) => distinct.push(text),
                None => return Ok(vec![self.body_hash()]),
            }
        }
        Ok(distinct)
    }

    /// The hash of the body.
    pub(super) fn body_hash(&self) -> String {
        encoding::hex(digest::digest(&digest::SHA256, self.request.body).as_ref())
    }
}

/// Every pointer of a declaration, in a fixed order.
fn pointers(webhook: &Webhook) -> impl Iterator<Item = &str> {
    let event = webhook.event.iter().filter_map(|event| match event {
        EventName::Pointer(pointer) => Some(pointer.as_str()),
        EventName::Header(_) => None,
    });
    let repeated = match &webhook.verify {
        Verify::SharedSecret { at } => Some(at),
        _ => None,
    };
    let answers = webhook.handshakes.iter().flat_map(|handshake| {
        let tests = handshake.when.iter().map(|test| &test.at);
        let answer: Vec<&Select> = match &handshake.answer {
            HandshakeAnswer::Text(select) => vec![select],
            HandshakeAnswer::Json(members) => members
                .values()
                .filter_map(|value| match value {
                    HandshakeValue::Echo(select) | HandshakeValue::Hmac { of: select, .. } => Some(select),
                    HandshakeValue::Fixed(_) => None,
                })
                .collect(),
        };
        tests.chain(answer)
    });
    let selects = webhook.distinct.iter().chain(repeated).chain(answers);
    event.chain(selects.filter_map(|select| match select {
        Select::Pointer(pointer) => Some(pointer.as_str()),
        _ => None,
    }))
}
