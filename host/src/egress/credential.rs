//! What a connection has: its parameters, and its secrets, which go onto a request where the manifest says and nowhere else.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::STANDARD};
use connector_protocol::{
    Error, ErrorKind, Result,
    manifest::{Auth, AuthKind, Placement},
    template,
};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};
use url::Url;

use crate::redact::Redactor;

/// What a connection has.
#[derive(Debug, Clone, Default)]
pub struct Credential {
    /// The name of its auth variant.
    pub auth: String,
    /// Its parameters that are not secret.
    pub parameters: Map<String, Value>,
    /// Its secrets, by name: `access_token`, or the names of secret parameters.
    pub secrets: BTreeMap<String, SecretString>,
    /// What was kept of the token answer.
    pub token_members: BTreeMap<String, String>,
}

impl Credential {
    /// A credential whose one secret is given from outside, as a token.
    ///
    /// # Errors
    ///
    /// If the auth variant has several secrets, or none.
    pub fn of_token(auth: &Auth, token: SecretString, parameters: Map<String, Value>) -> Result<Self> {
        let name = match &auth.kind {
            AuthKind::Oauth2(_) => "access_token".to_owned(),
            _ => {
                let mut names = auth.secret_names();
                match (names.next(), names.next()) {
                    (Some(name), None) => name.to_owned(),
                    (None, _) => {
                        let text = format!("`{}` takes no token", auth.name);
                        return Err(Error::new(ErrorKind::Usage, text).hint("leave the token out"));
                    }
                    _ => {
                        let text = format!("`{}` has several secrets; a token is only one", auth.name);
                        return Err(Error::new(ErrorKind::Usage, text));
                    }
                }
            }
        };
        Ok(Self {
            auth: auth.name.clone(),
            parameters,
            secrets: [(name, token)].into(),
            token_members: BTreeMap::new(),
        })
    }

    /// The value of a hole in the template of an address: parameters and kept members, never a secret.
    pub(super) fn public_value(&self, hole: &str) -> Option<String> {
        if let Some(member) = hole.strip_prefix("token.") {
            return self.token_members.get(member).cloned();
        }
        if self.secrets.contains_key(hole) {
            return None;
        }
        text(self.parameters.get(hole)?)
    }

    /// Adds the secrets to what is masked.
    pub fn redact(&self, redactor: &mut Redactor) {
        self.secrets.values().for_each(|secret| redactor.add(secret.expose_secret()));
    }

    /// Puts the secrets where the manifest says.
    pub(super) fn place(&self, auth: &Auth, url: &mut Url, headers: &mut HeaderMap) -> Result<()> {
        for placement in &auth.placement {
            match placement {
                Placement::Header { name, value } => {
                    let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| unusable())?;
                    headers.insert(name, secret_header(&self.fill(value)?)?);
                }
                Placement::Query { name, value } => {
                    url.query_pairs_mut().append_pair(name, &self.fill(value)?);
                }
                Placement::Basic { username, password } => {
                    let pair = STANDARD.encode(format!("{}:{}", self.fill(username)?, self.fill(password)?));
                    headers.insert(AUTHORIZATION, secret_header(&format!("Basic {pair}"))?);
                }
            }
        }
        Ok(())
    }

    /// A template with parameters and secrets in it, which makes a secret of it.
    pub(crate) fn fill(&self, value: &str) -> Result<String> {
        let mut missing = None;
        let filled = template::fill(value, |hole| {
            let secret = self.secrets.get(hole).map(|secret| secret.expose_secret().to_owned());
            let value = secret.or_else(|| self.public_value(hole));
            if value.is_none() {
                missing = Some(hole.to_owned());
            }
            value
        });
        match (filled, missing) {
            (Ok(Some(value)), _) => Ok(value),
            (_, Some(missing)) => Err(no_credential(&missing)),
            _ => Err(unusable()),
        }
    }
}

fn no_credential(missing: &str) -> Error {
    Error::new(ErrorKind::Unauthorized, format!("the connection has no `{missing}`"))
}

fn unusable() -> Error {
    Error::new(
        ErrorKind::Unauthorized,
        "the credential cannot be sent: it holds characters that a header may not",
    )
    .hint("look for a line break that was pasted with it")
}

fn secret_header(value: &str) -> Result<HeaderValue> {
    let mut value = HeaderValue::from_str(value).map_err(|_| unusable())?;
    value.set_sensitive(true);
    Ok(value)
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(value) => Some(value.to_string()),
        _ => None,
    }
}
