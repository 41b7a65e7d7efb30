//! Where a request goes, and whether it may go there.
//!
//! What a connector, a parameter or a provider's answer says leads over https to a public machine that the manifest names,
//! or nowhere. What the operator says in `endpoints` leads where it says.

use std::net::IpAddr;

use connector_protocol::{
    Error, ErrorKind, Result,
    manifest::{Base, HostRule},
    message::HttpRequest,
    path, template,
};
use url::{Host, Url};

use super::{Target, address::forbidden, breaker::Line, lost::host_of};

/// An address that a request may go to.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) url: Url,
    /// Whether the operator has named the machine: then it may be any machine, and plain http will do.
    pub(super) by_operator: bool,
    /// Whether the credential may go there too.
    pub(super) credential: bool,
}

/// Whether an address is at a base or below it: what the operator has named is this place, not the whole machine.
fn lies_in(root: &Url, url: &Url) -> bool {
    let path = root.path().trim_end_matches('/');
    let below = url.path().strip_prefix(path);
    root.origin() == url.origin() && below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn blocked(text: String) -> Error {
    Error::new(ErrorKind::Blocked, text)
}

impl Target {
    /// Where a request goes. The query is not part of it yet.
    pub(super) fn place(&self, request: &HttpRequest) -> Result<Place> {
        let path = path::fill(&request.path, &request.params)?;
        if path.starts_with("https://") || path.starts_with("http://") {
            let url = Url::parse(&path)
                .map_err(|_| blocked("the connector asked for an address that is none".to_owned()))?;
            return self.check(url);
        }
        let base = match &request.base {
            Some(name) => self.manifest.base(name),
            None => self.manifest.bases.first(),
        };
        let base = base.ok_or_else(|| {
            let name = request.base.as_deref().unwrap_or("default");
            blocked(format!("the connector has no base address `{}`", name.escape_debug()))
        })?;
        let (root, by_operator) = self.root(base)?;
        if !path.starts_with('/') {
            return Err(blocked("the connector's path does not begin with a slash".to_owned()));
        }
        let expected = format!("{}{path}", root.path().trim_end_matches('/'));
        let mut url = root.clone();
        url.set_path(&expected);
        // A parser that has its own ideas of the path - dot segments, back slashes - has read another one.
        if url.path() != expected || url.origin() != root.origin() {
            return Err(blocked("the connector's path would lead elsewhere than it says".to_owned()));
        }
        if by_operator {
            Ok(Place { url, by_operator, credential: self.is_credentialed(base) })
        } else {
            self.check(url)
        }
    }

    /// The circuit of what goes to an address.
    pub(super) fn line(&self, url: &Url) -> Line {
        Line { connection: self.key.clone(), host: host_of(url) }
    }

    /// A base's address, and whether the operator has said it.
    pub(super) fn root(&self, base: &Base) -> Result<(Url, bool)> {
        if let Some(url) = self.integration.endpoints.get(&base.name) {
            return Ok((url.clone(), true));
        }
        let mut missing = String::new();
        for candidate in &base.urls {
            let filled = template::fill(candidate, |hole| {
                let value = self.credential.public_value(hole);
                if value.is_none() {
                    missing = hole.to_owned();
                }
                value
            });
            if let Ok(Some(text)) = filled {
                let unusable =
                    || blocked(format!("the base address `{}` does not become an address", base.name));
                let url = Url::parse(&text).map_err(|_| unusable())?;
                return if url.query().is_some() || url.fragment().is_some() {
                    Err(unusable())
                } else {
                    Ok((url, false))
                };
            }
        }
        let text = format!("the address of `{}` needs the connection's `{missing}`", base.name);
        Err(Error::new(ErrorKind::Unauthorized, text).hint(format!("give it: --parameter {missing}=…")))
    }

    /// Whether a request may go to an address.
    pub(super) fn check(&self, url: Url) -> Result<Place> {
        if !url.username().is_empty() || url.password().is_some() {
            return Err(blocked("an address with a name or a password in it is not used".to_owned()));
        }
        let mut instead = self.manifest.bases.iter().filter(|base| {
            self.integration.endpoints.get(&base.name).is_some_and(|root| lies_in(root, &url))
        });
        if let Some(base) = instead.next() {
            // Several bases on one machine: it gets the credential by one of them anyway.
            let credential = self.is_credentialed(base) || instead.any(|base| self.is_credentialed(base));
            return Ok(Place { url, by_operator: true, credential });
        }
        if url.scheme() != "https" {
            let hint =
                "only an address that the operator sets in [integrations.<id>.endpoints] may be plain http";
            return Err(blocked(format!("{}:// is not allowed", url.scheme())).hint(hint));
        }
        let host = match url.host() {
            Some(Host::Domain(name)) => name.to_owned(),
            Some(Host::Ipv4(address)) => self.check_address(IpAddr::V4(address))?,
            Some(Host::Ipv6(address)) => self.check_address(IpAddr::V6(address))?,
            None => return Err(blocked("an address without a host is not used".to_owned())),
        };
        let rule = self.manifest.hosts.iter().find(|rule| self.rule_fits(rule, &host)).ok_or_else(|| {
            let id = &self.manifest.id;
            blocked(format!("the connector `{id}` does not declare the host `{}`", host.escape_debug()))
                .hint(format!("see which hosts it declares: jackfield connector show {id}"))
        })?;
        Ok(Place { url, by_operator: false, credential: rule.credential })
    }

    /// Whether the credential goes where the operator has put in the place of a base: if it would go to the base itself.
    /// Where only the provider's answer says what machine that is, it may be any machine that the manifest names.
    pub(super) fn is_credentialed(&self, base: &Base) -> bool {
        let hosts = base.urls.iter().filter_map(|url| url.split_once("://")).map(|(_, rest)| {
            let end = rest.find(['/', ':']).unwrap_or(rest.len());
            &rest[..end]
        });
        let of_base: Vec<bool> = hosts
            .map(|host| {
                self.manifest.hosts.iter().find(|rule| rule.fits(host)).is_some_and(|rule| rule.credential)
            })
            .collect();
        if of_base.is_empty() {
            self.manifest.hosts.iter().all(|rule| rule.credential)
        } else {
            of_base.into_iter().all(|credential| credential)
        }
    }

    fn check_address(&self, address: IpAddr) -> Result<String> {
        match forbidden(address) {
            Some(what) => Err(blocked(format!("`{address}` leads to {what}"))),
            None => Ok(address.to_string()),
        }
    }

    fn rule_fits(&self, rule: &HostRule, host: &str) -> bool {
        match template::fill(&rule.host, |hole| self.credential.public_value(hole)) {
            Ok(Some(filled)) => HostRule { host: filled, credential: rule.credential }.fits(host),
            _ => false,
        }
    }
}
