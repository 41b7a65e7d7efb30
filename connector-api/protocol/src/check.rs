//! What a host has to be able to trust in a manifest before it uses it.
//!
//! Everything here is about the document alone: whether the types fit the manifest is a test of the connector's own, and
//! whether the provider does what the manifest says is the fixtures' business.

mod setup;
mod webhooks;

use std::collections::HashSet;

use serde_json::{Map, Value};

use crate::{
    Manifest, Problem,
    answers::AnswerClass,
    effort::Efforts,
    keywords::Keywords,
    manifest::{
        AuthKind, Client, Endpoint, MANIFEST_VERSION, PagingStyle, Placement, Schema, Scopes, Source,
    },
    name::{is_connector_id, is_name},
    schema::{self, escape, local_name},
    template,
};

/// How deep a schema may be nested, and how many schemas one may hold: beyond this it is not a form but an attack.
const MAX_DEPTH: usize = 24;
const MAX_SCHEMAS: usize = 4000;

/// How many things a list of the manifest or of a schema may hold, and how long a name in a schema may be, in bytes. What is
/// looked up in a list, or stands on the way to many things, would otherwise take a time that is the square of the size.
const MAX_LIST: usize = 2000;
const MAX_NAME: usize = 256;

pub(crate) fn check(manifest: &Manifest) -> Vec<Problem> {
    run(manifest, false)
}

/// The same, and keywords that are not ours although they look like it.
pub(crate) fn lint(manifest: &Manifest) -> Vec<Problem> {
    run(manifest, true)
}

fn run(manifest: &Manifest, strict: bool) -> Vec<Problem> {
    let mut checker = Checker { manifest, strict, problems: Vec::new(), described: HashSet::new() };
    checker.sizes();
    if !checker.problems.is_empty() {
        return checker.problems;
    }
    checker.identity();
    checker.places();
    checker.auth();
    checker.answers();
    checker.webhooks();
    checker.operations();
    checker.setup();
    checker.definitions();
    checker.problems
}

struct Checker<'a> {
    manifest: &'a Manifest,
    strict: bool,
    problems: Vec<Problem>,
    /// The definitions of which it is known whether their fields are described.
    described: HashSet<&'a str>,
}

impl<'a> Checker<'a> {
    fn problem(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.problems.push(Problem::new(path, message));
    }

    /// No list too long, and no name: before anything is looked up in one.
    fn sizes(&mut self) {
        let manifest = self.manifest;
        let urls = manifest.bases.iter().map(|base| base.urls.len()).sum();
        let rules = manifest.answers.rules.len();
        for (path, len) in [
            ("/hosts", manifest.hosts.len()),
            ("/bases", manifest.bases.len()),
            ("/bases/*/urls", urls),
            ("/auth", manifest.auth.len()),
            ("/scope_families", manifest.scope_families.len()),
            ("/rates", manifest.rates.len()),
            ("/answers/rules", rules),
            ("/webhooks", manifest.webhooks.len()),
            ("/actions", manifest.actions.len()),
            ("/triggers", manifest.triggers.len()),
            ("/lookups", manifest.lookups.len()),
            ("/setup/families", manifest.setup.as_ref().map_or(0, |setup| setup.families.len())),
            ("/setup/events", manifest.setup.as_ref().map_or(0, |setup| setup.events.len())),
        ] {
            if len > MAX_LIST {
                self.problem(path, format!("holds {len} things; the limit is {MAX_LIST}"));
            }
        }
        let mut schemas: Vec<(String, &Schema)> = Vec::new();
        for (index, auth) in manifest.auth.iter().enumerate() {
            schemas.push((format!("/auth/{index}/parameters"), &auth.parameters));
        }
        for (index, action) in manifest.actions.iter().enumerate() {
            schemas.push((format!("/actions/{index}/input"), &action.input));
            schemas.push((format!("/actions/{index}/output"), &action.output));
        }
        for (index, trigger) in manifest.triggers.iter().enumerate() {
            schemas.push((format!("/triggers/{index}/parameters"), &trigger.parameters));
            schemas.push((format!("/triggers/{index}/event"), &trigger.event));
        }
        for (index, lookup) in manifest.lookups.iter().enumerate() {
            schemas.push((format!("/lookups/{index}/parameters"), &lookup.parameters));
        }
        if manifest.defs.len() > MAX_LIST {
            let text = format!("holds {} things; the limit is {MAX_LIST}", manifest.defs.len());
            return self.problem("/$defs", text);
        }
        if let Some(problem) = manifest.defs.keys().find_map(|name| name_too_long(name)) {
            return self.problem("/$defs", problem);
        }
        for (name, definition) in &manifest.defs {
            if let Value::Object(definition) = definition {
                schemas.push((format!("/$defs/{}", escape(name)), definition));
            }
        }
        let efforts = Efforts::of(&manifest.defs);
        for (path, schema) in schemas {
            if let Some(problem) = members_too_large(schema).or_else(|| efforts.too_much(schema)) {
                self.problem(path, problem);
            }
        }
    }

    /// A class that is read as none is for answers of a later host; in a manifest it is a mistake.
    fn answers(&mut self) {
        for (index, rule) in self.manifest.answers.rules.iter().enumerate() {
            if rule.class == AnswerClass::Other {
                self.problem(format!("/answers/rules/{index}/class"), "is not a class of answers");
            }
        }
    }

    fn identity(&mut self) {
        let manifest = self.manifest;
        if manifest.manifest_version != MANIFEST_VERSION {
            let version = manifest.manifest_version;
            self.problem("/manifest_version", format!("is {version}; this version knows {MANIFEST_VERSION}"));
        }
        if !is_connector_id(&manifest.id) {
            self.problem("/id", "must be lower-case letters, digits and hyphens, beginning with a letter");
        }
        if let Err(error) = semver::Version::parse(&manifest.version) {
            self.problem("/version", format!("is not a semantic version: {error}"));
        }
        for (path, text) in [("/title", &manifest.title), ("/description", &manifest.description)] {
            if text.trim().is_empty() {
                self.problem(path, "must not be empty");
            }
        }
        if manifest.auth.is_empty() {
            self.problem("/auth", "must name at least one way to authorise a connection (`none` is one)");
        }
    }

    /// Every name a name, and no name twice.
    fn names<'n>(&mut self, path: &str, names: impl Iterator<Item = &'n str>) {
        let mut seen = HashSet::new();
        for (index, name) in names.enumerate() {
            if !is_name(name) {
                let rule = "must be lower-case letters, digits and underscores, beginning with a letter";
                self.problem(
                    format!("{path}/{index}/name"),
                    format!("{rule}; it is `{}`", name.escape_debug()),
                );
            } else if !seen.insert(name) {
                self.problem(format!("{path}/{index}/name"), format!("`{name}` is there twice"));
            }
        }
    }

    /// The holes that templates of this connector may have: parameters of any auth variant, kept token members.
    fn known_holes(&self) -> HashSet<String> {
        let mut known = HashSet::new();
        for auth in &self.manifest.auth {
            known.extend(auth.parameter_names().map(str::to_owned));
            if let AuthKind::Oauth2(oauth) = &auth.kind {
                known.extend(oauth.token_members.iter().map(|member| format!("token.{member}")));
            }
        }
        known
    }

    fn template(&mut self, path: String, text: &str, known: &dyn Fn(&str) -> bool) {
        match template::holes(text) {
            Err(error) => self.problem(path, error.to_string()),
            Ok(holes) => {
                for hole in holes.into_iter().filter(|hole| !known(hole)) {
                    self.problem(
                        path.clone(),
                        format!("`{{{hole}}}` is neither a parameter nor a kept token member"),
                    );
                }
            }
        }
    }

    fn places(&mut self) {
        let manifest = self.manifest;
        let holes = self.known_holes();
        let known = |hole: &str| holes.contains(hole);
        self.names("/bases", manifest.bases.iter().map(|base| base.name.as_str()));
        self.names("/scope_families", manifest.scope_families.iter().map(|family| family.name.as_str()));
        self.names("/rates", manifest.rates.iter().map(|rate| rate.name.as_str()));
        for (index, rule) in manifest.hosts.iter().enumerate() {
            let path = format!("/hosts/{index}/host");
            self.template(path.clone(), &rule.host, &known);
            let name = rule.host.strip_prefix("*.").unwrap_or(&rule.host);
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '{' | '}' | '_');
            if name.is_empty() || !name.chars().all(plain) {
                self.problem(path, "must be a host name, with or without `*.` in front");
            }
        }
        for (index, base) in manifest.bases.iter().enumerate() {
            if base.urls.is_empty() {
                self.problem(format!("/bases/{index}/urls"), "must hold at least one address");
            }
            for (at, url) in base.urls.iter().enumerate() {
                let path = format!("/bases/{index}/urls/{at}");
                self.template(path.clone(), url, &known);
                match url.strip_prefix("https://") {
                    Some(rest) => {
                        let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
                        if !host.contains('{') && !manifest.hosts.iter().any(|rule| rule.fits(host)) {
                            self.problem(path, format!("leads to `{host}`, which `hosts` does not allow"));
                        }
                    }
                    // Begins with a hole: what it becomes is checked when it is filled.
                    None if url.starts_with('{') => {}
                    None => self.problem(path, "must begin with https://"),
                }
            }
        }
        self.scopes("/identify_scopes", &manifest.identify_scopes);
    }

    fn scopes(&mut self, path: &str, scopes: &[Scopes]) {
        for (index, set) in scopes.iter().enumerate() {
            if let Some(family) = &set.family
                && !self.manifest.scope_families.iter().any(|known| known.name == *family)
            {
                self.problem(
                    format!("{path}/{index}/family"),
                    format!("`{family}` is not among `scope_families`"),
                );
            }
            if set.all.is_empty() {
                self.problem(format!("{path}/{index}/all"), "must name at least one scope");
            }
        }
    }

    fn auth(&mut self) {
        let manifest = self.manifest;
        self.names("/auth", manifest.auth.iter().map(|auth| auth.name.as_str()));
        for (index, auth) in manifest.auth.iter().enumerate() {
            let path = format!("/auth/{index}");
            let secrets: HashSet<&str> = auth.secret_names().collect();
            self.object_schema(&format!("{path}/parameters"), &auth.parameters);
            let mut known: HashSet<&str> = auth.parameter_names().collect();
            if let AuthKind::Oauth2(oauth) = &auth.kind {
                known.insert("access_token");
                let endpoints = [
                    ("authorize", &oauth.authorize),
                    ("token", &Some(oauth.token.clone())),
                    ("revoke", &oauth.revoke),
                ];
                for (name, endpoint) in endpoints {
                    if let Some(Endpoint { base, .. }) = endpoint
                        && manifest.base(base).is_none()
                    {
                        self.problem(format!("{path}/{name}/base"), format!("`{base}` is not among `bases`"));
                    }
                }
                if oauth.grant == "authorization_code" && oauth.authorize.is_none() {
                    self.problem(
                        format!("{path}/authorize"),
                        "is required for the grant `authorization_code`",
                    );
                }
                if oauth.client == Client::Connection
                    && !(known.contains("client_id") && secrets.contains("client_secret"))
                {
                    let message = "must have `client_id` and a secret `client_secret`, since the client is the connection's";
                    self.problem(format!("{path}/parameters"), message);
                }
                if oauth.issuer.as_ref().is_some_and(|issuer| !issuer.starts_with("https://")) {
                    self.problem(format!("{path}/issuer"), "must begin with `https://`");
                }
                for (name, value) in &oauth.token_parameters {
                    let known = |hole: &str| known.contains(hole);
                    self.template(format!("{path}/token_parameters/{}", escape(name)), value, &known);
                }
            }
            if matches!(auth.kind, AuthKind::ApiKey {} | AuthKind::Basic {}) && secrets.is_empty() {
                self.problem(format!("{path}/parameters"), "must have at least one field marked `x-secret`");
            }
            if !matches!(auth.kind, AuthKind::None {}) && auth.placement.is_empty() {
                self.problem(format!("{path}/placement"), "must say where the credential goes on a request");
            }
            for (at, placement) in auth.placement.iter().enumerate() {
                let path = format!("{path}/placement/{at}");
                let known = |hole: &str| known.contains(hole);
                match placement {
                    Placement::Header { value, .. } | Placement::Query { value, .. } => {
                        self.template(format!("{path}/value"), value, &known);
                    }
                    Placement::Basic { username, password } => {
                        self.template(format!("{path}/username"), username, &known);
                        self.template(format!("{path}/password"), password, &known);
                    }
                }
            }
        }
    }

    fn pointer(&mut self, path: &str, pointer: &str) {
        if !(pointer.is_empty() || pointer.starts_with('/')) {
            self.problem(
                path,
                format!("`{pointer}` is not a JSON pointer: it must be empty or begin with `/`"),
            );
        }
    }

    fn operations(&mut self) {
        let manifest = self.manifest;
        self.names("/actions", manifest.actions.iter().map(|action| action.name.as_str()));
        self.names("/triggers", manifest.triggers.iter().map(|trigger| trigger.name.as_str()));
        self.names("/lookups", manifest.lookups.iter().map(|lookup| lookup.name.as_str()));
        for (index, action) in manifest.actions.iter().enumerate() {
            let path = format!("/actions/{index}");
            self.described(&path, &action.title, &action.description);
            self.scopes(&format!("{path}/scopes"), &action.scopes);
            if let Some(rate) = &action.rate
                && !manifest.rates.iter().any(|known| known.name == *rate)
            {
                self.problem(format!("{path}/rate"), format!("`{rate}` is not among `rates`"));
            }
            self.object_schema(&format!("{path}/input"), &action.input);
            self.schema(&format!("{path}/output"), &action.output);
            if let Some(paging) = &action.paging {
                self.pointer(&format!("{path}/paging/items"), &paging.items);
                match &paging.style {
                    PagingStyle::Token { at, .. } => self.pointer(&format!("{path}/paging/at"), at),
                    PagingStyle::Cursor { list, at, more, .. } => {
                        self.pointer(&format!("{path}/paging/list"), list);
                        self.pointer(&format!("{path}/paging/at"), at);
                        self.pointer(&format!("{path}/paging/more"), more.as_deref().unwrap_or_default());
                    }
                    PagingStyle::Page { list, pages, .. } => {
                        self.pointer(&format!("{path}/paging/list"), list);
                        self.pointer(&format!("{path}/paging/pages"), pages.as_deref().unwrap_or_default());
                    }
                    PagingStyle::Link {} => {}
                }
            }
        }
        for (index, trigger) in manifest.triggers.iter().enumerate() {
            let path = format!("/triggers/{index}");
            self.described(&path, &trigger.title, &trigger.description);
            self.scopes(&format!("{path}/scopes"), &trigger.scopes);
            match &trigger.source {
                Source::AppWebhook { hook, .. } | Source::RegisteredWebhook { hook, .. } => {
                    if !manifest.webhooks.iter().any(|known| known.name == *hook) {
                        self.problem(
                            format!("{path}/source/hook"),
                            format!("`{hook}` is not among `webhooks`"),
                        );
                    }
                }
                Source::Poll { every_seconds: 0 } => {
                    self.problem(format!("{path}/source/every_seconds"), "must be at least 1");
                }
                Source::Poll { .. } => {}
            }
            if matches!(&trigger.source, Source::AppWebhook { events, .. } if events.is_empty()) {
                self.problem(format!("{path}/source/events"), "must name the provider's events");
            }
            self.object_schema(&format!("{path}/parameters"), &trigger.parameters);
            self.schema(&format!("{path}/event"), &trigger.event);
        }
        for (index, lookup) in manifest.lookups.iter().enumerate() {
            self.object_schema(&format!("/lookups/{index}/parameters"), &lookup.parameters);
        }
    }

    fn described(&mut self, path: &str, title: &str, description: &str) {
        for (name, text) in [("title", title), ("description", description)] {
            if text.trim().is_empty() {
                self.problem(format!("{path}/{name}"), "must not be empty");
            }
        }
    }

    fn definitions(&mut self) {
        for (name, definition) in &self.manifest.defs {
            let path = format!("/$defs/{}", escape(name));
            match definition {
                Value::Object(members) => self.schema(&path, members),
                _ => self.problem(path, "must be an object"),
            }
        }
    }

    /// A schema of an input: an object, and every field of it and of what it refers to is described.
    fn object_schema(&mut self, path: &str, schema: &'a Schema) {
        self.schema(path, schema);
        if schema.is_empty() {
            return;
        }
        if schema.get("type").and_then(Value::as_str) != Some("object") {
            self.problem(path, "must be an object (`type: object`)");
        }
        let mut waiting = vec![(path.to_owned(), schema)];
        while let Some((path, schema)) = waiting.pop() {
            for name in self.fields_described(&path, schema) {
                if self.described.insert(name)
                    && let Some(Value::Object(definition)) = self.manifest.defs.get(name)
                {
                    waiting.push((format!("/$defs/{}", escape(name)), definition));
                }
            }
        }
    }

    /// The fields of one schema, and the definitions that it refers to.
    fn fields_described(&mut self, path: &str, schema: &'a Map<String, Value>) -> Vec<&'a str> {
        let manifest = self.manifest;
        let mut missing = Vec::new();
        let mut onward = Vec::new();
        let mut count = 0;
        let mut visitor = |members: &'a Map<String, Value>, at: &str| {
            count += 1;
            // What stands behind a condition repeats fields that are described elsewhere.
            let conditional = ["/if", "/then", "/else", "/not"].iter().any(|word| at.contains(word));
            if let (false, Some(properties)) =
                (conditional, members.get("properties").and_then(Value::as_object))
            {
                for (name, field) in properties {
                    let target = schema::resolve(field, &manifest.defs);
                    let described = [field, target].iter().any(|schema| {
                        schema
                            .get("description")
                            .and_then(Value::as_str)
                            .is_some_and(|text| !text.trim().is_empty())
                    });
                    // What can only have one value, such as what tells variants apart, is filled by nobody.
                    if !described && target.get("const").is_none() {
                        missing.push(format!("{at}/properties/{}", escape(name)));
                    }
                }
            }
            if let Some(name) = members.get("$ref").and_then(Value::as_str).and_then(local_name) {
                onward.push(name);
            }
            // What is larger is refused for that.
            count < MAX_SCHEMAS && depth(path, at) <= 2 * MAX_DEPTH
        };
        schema::visit(schema, path, &mut visitor);
        for path in missing {
            self.problem(path, "has no description: write a doc comment");
        }
        onward
    }

    /// What a keyword of ours refers to and is not there: a lookup, or the field of a time zone.
    fn leads_nowhere(&self, schema: &Map<String, Value>) -> impl Iterator<Item = String> {
        let lookups = ["x-options", "x-dynamic-schema"].into_iter().filter_map(|keyword| {
            let name = schema.get(keyword)?.get("lookup")?.as_str()?;
            let known = self.manifest.lookups.iter().any(|lookup| lookup.name == name);
            (!known).then(|| format!("{keyword}: `{name}` is not among `lookups`"))
        });
        let fields = schema.get("properties").and_then(Value::as_object);
        let zones = fields.into_iter().flatten().filter_map(|(name, field)| {
            let target = schema::resolve(field, &self.manifest.defs);
            let zone =
                [field, target].into_iter().find_map(|schema| schema.get("x-timezone-field")?.as_str())?;
            let known = fields.is_some_and(|fields| fields.contains_key(zone));
            (!known).then(|| format!("x-timezone-field of `{name}`: there is no field `{zone}` beside it"))
        });
        lookups.chain(zones).collect::<Vec<_>>().into_iter()
    }

    /// Any schema: small enough, no reference that leads outside or nowhere, no unknown keyword of ours.
    fn schema(&mut self, path: &str, schema: &'a Schema) {
        let (manifest, strict) = (self.manifest, self.strict);
        let mut found = Vec::new();
        let mut count = 0;
        schema::visit(schema, path, &mut |members, at| {
            count += 1;
            if count > MAX_SCHEMAS {
                return false;
            }
            if depth(path, at) > 2 * MAX_DEPTH {
                found.push((at.to_owned(), format!("is nested deeper than {MAX_DEPTH} levels")));
                return false;
            }
            if strict {
                found.extend(Keywords::lint(members).into_iter().map(|problem| (at.to_owned(), problem)));
                found.extend(self.leads_nowhere(members).map(|problem| (at.to_owned(), problem)));
            }
            for (keyword, value) in members {
                match keyword.as_str() {
                    "$ref" => match value.as_str().and_then(local_name) {
                        Some(name) if manifest.defs.contains_key(name) => {}
                        _ => {
                            found.push((format!("{at}/$ref"), format!("{value} does not lead into `$defs`")))
                        }
                    },
                    "$dynamicRef" | "$recursiveRef" | "$id" | "$anchor" | "$dynamicAnchor" => {
                        found.push((format!("{at}/{keyword}"), "is not used in manifests".to_owned()));
                    }
                    _ => {}
                }
            }
            true
        });
        if count > MAX_SCHEMAS {
            found.push((path.to_owned(), format!("holds more than {MAX_SCHEMAS} schemas")));
        }
        found.truncate(20);
        for (path, message) in found {
            self.problem(path, message);
        }
    }
}

/// How many steps it is from one place to a place within.
fn depth(path: &str, within: &str) -> usize {
    within.matches('/').count() - path.matches('/').count()
}

/// What is too large in a schema, if anything is.
fn members_too_large(members: &Map<String, Value>) -> Option<String> {
    members.iter().find_map(|(name, value)| name_too_long(name).or_else(|| too_large(value)))
}

fn too_large(value: &Value) -> Option<String> {
    match value {
        Value::Object(members) => members_too_large(members),
        Value::Array(items) if items.len() > MAX_LIST => {
            Some(format!("holds a list of {} things; the limit is {MAX_LIST}", items.len()))
        }
        Value::Array(items) => items.iter().find_map(too_large),
        _ => None,
    }
}

fn name_too_long(name: &str) -> Option<String> {
    (name.len() > MAX_NAME).then(|| format!("holds a name of {} bytes; the limit is {MAX_NAME}", name.len()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn sound() -> Value {
        json!({
            "manifest_version": 1, "id": "acme", "title": "Acme", "version": "0.1.0", "description": "Things",
            "hosts": [{"host": "api.example.com", "credential": true}, {"host": "{host}", "credential": true}],
            "bases": [{"name": "api", "urls": ["https://{host}/v1", "https://api.example.com"]}],
            "auth": [
                {
                    "name": "key", "title": "Key", "kind": "api_key",
                    "parameters": {"type": "object", "properties": {
                        "key": {"type": "string", "description": "The key", "x-secret": true},
                        "host": {"type": "string", "description": "The host"},
                    }},
                    "placement": [{"in": "header", "name": "X-Key", "value": "{key}"}],
                },
                {
                    "name": "user", "title": "User", "kind": "oauth2", "grant": "authorization_code", "client": "integration",
                    "authorize": {"base": "api", "path": "/authorize"}, "token": {"base": "api", "path": "/token"},
                    "client_auth": "basic", "placement": [{"in": "header", "name": "Authorization", "value": "Bearer {access_token}"}],
                },
            ],
            "scope_families": [{"name": "new", "title": "New"}],
            "rates": [{"name": "core", "description": "All"}],
            "webhooks": [{
                "name": "default", "secret": {"owner": "integration", "title": "Secret"}, "distinct": ["body_hash"],
                "verify": {
                    "kind": "hmac", "hash": "sha256", "message": ["timestamp", "body"],
                    "signature": {"header": "x-sig", "encoding": "hex"},
                    "timestamp": {"header": "x-time", "window_seconds": 300},
                },
            }],
            "actions": [{
                "name": "make", "title": "Make", "description": "Makes", "effect": "creates", "rate": "core",
                "scopes": [{"family": "new", "all": ["write"]}],
                "input": {"type": "object", "properties": {"size": {"$ref": "#/$defs/Size"}}},
                "output": {"type": "object"},
                "paging": {"items": "/list", "style": "token", "parameter": "next", "at": "/next"},
            }],
            "triggers": [{
                "name": "made", "title": "Made", "description": "Was made",
                "source": {"kind": "app_webhook", "hook": "default", "events": ["made"]},
                "parameters": {"type": "object"}, "event": {"type": "object"},
            }],
            "setup": {
                "url": "https://apps.example.com/new",
                "steps": [
                    {"title": "Make an app", "text": "Press New app.", "show": ["redirect_uri", "client"]},
                    {"title": "Subscribe", "text": "Tick it.", "show": ["webhook_secret", "webhook_url", "events", "scopes", "connect"]},
                ],
                "events": {"made": "Thing has been made"},
            },
            "$defs": {"Size": {"type": "string", "description": "How large", "x-ui": {"widget": "radio"}}},
        })
    }

    fn problems(pointer: &str, change: Value) -> Vec<String> {
        let mut manifest = sound();
        match manifest.pointer_mut(pointer) {
            Some(place) => *place = change,
            None => {
                let (parent, name) = pointer.rsplit_once('/').unwrap();
                manifest.pointer_mut(parent).unwrap()[name] = change;
            }
        }
        let manifest: Manifest = serde_json::from_value(manifest).unwrap();
        manifest.lint().into_iter().map(|problem| format!("{} {}", problem.path, problem.message)).collect()
    }

    #[test]
    fn a_manifest_that_contradicts_itself_is_told_where() {
        assert_eq!(problems("/id", json!("acme")), Vec::<String>::new());
        for (pointer, change, expected) in [
            ("/manifest_version", json!(2), "/manifest_version is 2; this version knows 1"),
            ("/id", json!("../etc"), "/id must be lower-case letters"),
            ("/version", json!("1"), "/version is not a semantic version"),
            ("/title", json!(" "), "/title must not be empty"),
            ("/auth", json!([]), "/auth must name at least one way"),
            ("/auth/0/name", json!("Key"), "/auth/0/name must be lower-case letters"),
            ("/auth/1/name", json!("key"), "/auth/1/name `key` is there twice"),
            (
                "/auth/0/placement/0/value",
                json!("{token}"),
                "`{token}` is neither a parameter nor a kept token member",
            ),
            ("/auth/0/placement/0/value", json!("{key"), "stray brace"),
            ("/auth/0/placement", json!([]), "/auth/0/placement must say where the credential goes"),
            (
                "/auth/0/parameters/properties/key/x-secret",
                json!(false),
                "must have at least one field marked `x-secret`",
            ),
            ("/auth/0/parameters/properties/host/description", json!(""), "host has no description"),
            ("/auth/1/issuer", json!("login.example.com"), "/auth/1/issuer must begin with `https://`"),
            ("/auth/1/token/base", json!("oauth"), "/auth/1/token/base `oauth` is not among `bases`"),
            ("/auth/1/authorize", json!(null), "/auth/1/authorize is required"),
            ("/auth/1/client", json!("connection"), "must have `client_id` and a secret `client_secret`"),
            ("/hosts/0/host", json!("a b"), "/hosts/0/host must be a host name"),
            (
                "/hosts/0/host",
                json!("*"),
                "/bases/0/urls/1 leads to `api.example.com`, which `hosts` does not allow",
            ),
            ("/bases/0/urls", json!([]), "/bases/0/urls must hold at least one address"),
            ("/bases/0/urls/1", json!("http://api.example.com"), "/bases/0/urls/1 must begin with https://"),
            ("/bases/0/urls/0", json!("https://{nobody}/"), "`{nobody}` is neither"),
            ("/actions/0/name", json!("Make"), "/actions/0/name must be"),
            ("/actions/0/rate", json!("light"), "/actions/0/rate `light` is not among `rates`"),
            ("/actions/0/scopes/0/family", json!("old"), "`old` is not among `scope_families`"),
            ("/actions/0/scopes/0/all", json!([]), "must name at least one scope"),
            ("/actions/0/input", json!({"type": "string"}), "/actions/0/input must be an object"),
            ("/actions/0/input/properties/size/$ref", json!("#/$defs/Nope"), "does not lead into `$defs`"),
            (
                "/actions/0/input/properties/size/$ref",
                json!("https://evil.example.com/x"),
                "does not lead into `$defs`",
            ),
            ("/actions/0/output", json!({"$dynamicRef": "#x"}), "is not used in manifests"),
            (
                "/actions/0/output",
                json!({"x-secrets": true}),
                "`x-secrets` is not a keyword; did you mean `x-secret`?",
            ),
            ("/$defs/Size/description", json!(""), "/actions/0/input/properties/size: has no description"),
            (
                "/$defs/Size/x-ui",
                json!({"wigdet": "radio"}),
                "x-ui: `wigdet` is not known; did you mean `widget`?",
            ),
            ("/actions/0/paging/items", json!("list"), "`list` is not a JSON pointer"),
            (
                "/answers",
                json!({"rules": [{"class": "expird", "status": [400]}]}),
                "/answers/rules/0/class is not a class of answers",
            ),
            ("/triggers/0/source/hook", json!("other"), "`other` is not among `webhooks`"),
            ("/triggers/0/source/events", json!([]), "must name the provider's events"),
            ("/triggers/0/source", json!({"kind": "poll", "every_seconds": 0}), "must be at least 1"),
            ("/webhooks/0/distinct", json!([]), "/webhooks/0/distinct must not be empty"),
            ("/webhooks/0/verify/message", json!(["timestamp"]), "must cover the body"),
            ("/webhooks/0/verify/message", json!(["body"]), "must cover the timestamp"),
            ("/webhooks/0/verify/timestamp", json!(null), "is signed, so it must be said where it stands"),
            ("/setup/url", json!("http://apps.example.com"), "/setup/url must begin with `https://`"),
            (
                "/setup/families",
                json!(["new", "old"]),
                "/setup/families/1 `old` is not among `scope_families`",
            ),
            ("/setup/steps", json!([]), "/setup/steps must hold at least one step"),
            (
                "/setup/steps",
                json!(vec![json!({"title": "Go on", "text": "Press it."}); 41]),
                "/setup/steps holds 41 steps; the limit is 40",
            ),
            ("/setup/steps/0/title", json!(" "), "/setup/steps/0/title must not be empty"),
            ("/setup/steps/0/text", json!("a".repeat(1001)), "/setup/steps/0/text has 1001 characters"),
            ("/setup/steps/0/text", json!("one\ntwo"), "/setup/steps/0/text must be plain sentences"),
            ("/setup/steps/1/show/0", json!("client"), "/setup/steps/1/show/0 is shown twice"),
            ("/setup/events", json!({"gone": "It went"}), "/setup/events does not say what `made` is called"),
            ("/setup/events/gone", json!("It went"), "/setup/events/gone is an event of no trigger"),
            ("/setup/events/made", json!(""), "/setup/events/made must not be empty"),
            // What is to be shown has to be there.
            (
                "/auth/1",
                json!(sound()["auth"][0]),
                "/setup/steps/0/show/0 is not there: no way to authorise sends",
            ),
            (
                "/webhooks/0/secret/owner",
                json!("subscription"),
                "/setup/steps/1/show/0 is not there: no webhook has a secret",
            ),
            (
                "/triggers/0/source",
                json!({"kind": "poll", "every_seconds": 60}),
                "/setup/steps/1/show/1 is not there: no trigger comes by a webhook of the app",
            ),
        ] {
            let found = problems(pointer, change.clone());
            let expected = expected.replace(": has", " has");
            assert!(
                found.iter().any(|problem| problem.contains(&expected)),
                "{pointer} = {change}: {found:?}"
            );
        }
    }

    #[test]
    fn what_tells_variants_apart_needs_no_description() {
        let input = json!({
            "type": "object",
            "properties": {"how": {
                "description": "How",
                "oneOf": [
                    {"type": "object", "properties": {"kind": {"type": "string", "const": "mail"}}, "required": ["kind"]},
                    {"type": "object", "properties": {"kind": {"type": "string"}}, "required": ["kind"]},
                ],
            }},
        });
        let found = problems("/actions/0/input", input);
        let kinds: Vec<&String> = found.iter().filter(|problem| problem.contains("kind")).collect();
        assert_eq!(kinds.len(), 1, "{found:?}");
        assert!(kinds[0].contains("/oneOf/1/properties/kind has no description"), "{found:?}");
    }

    #[test]
    fn fault_83_a_schema_without_bottom_or_end_is_refused_quickly() {
        let mut deep = json!({"type": "string"});
        for _ in 0..40 {
            deep = json!({"type": "object", "properties": {"x": deep}});
        }
        assert!(problems("/actions/0/output", deep).iter().any(|problem| problem.contains("nested deeper")));
        let wide: Map<String, Value> = (0..10_000).map(|i| (format!("p{i}"), json!({}))).collect();
        assert!(
            problems("/actions/0/output", json!({"properties": wide}))
                .iter()
                .any(|problem| problem.contains("more than 4000 schemas"))
        );
        // One that refers to itself is only as large as it is written.
        let recursive = json!({"type": "object", "description": "A node", "properties": {"child": {"$ref": "#/$defs/Size"}}});
        assert_eq!(problems("/$defs/Size", recursive), Vec::<String>::new());
    }

    #[test]
    fn fault_83_a_manifest_that_is_small_to_read_and_endless_to_check_is_refused_quickly() {
        let begun = std::time::Instant::now();
        // Definitions in a row, each leading to the next.
        for (count, expected) in
            [(50_000, "/$defs holds 50001 things"), (1500, "/$defs/D0 holds 1500 schemas behind")]
        {
            let definition = |i: usize| json!({"$ref": format!("#/$defs/D{i}"), "description": "It"});
            let mut defs: Map<String, Value> =
                (1..count).map(|i| (format!("D{}", i - 1), definition(i))).collect();
            defs.insert(format!("D{}", count - 1), json!({"type": "string"}));
            let mut manifest = sound();
            manifest["$defs"].as_object_mut().unwrap().extend(defs);
            manifest["actions"][0]["input"]["properties"]["next"] = json!({"$ref": "#/$defs/D0"});
            let manifest: Manifest = serde_json::from_value(manifest).unwrap();
            let found: Vec<String> = manifest
                .check()
                .iter()
                .map(|problem| format!("{} {}", problem.path, problem.message))
                .collect();
            assert!(found.iter().any(|problem| problem.starts_with(expected)), "{found:?}");
        }
        // Many schemas behind a long name, and lists in which everything is looked up.
        let name = "n".repeat(100_000);
        let schema = json!({"properties": {name: {"allOf": vec![json!({}); 1000]}}});
        assert!(problems("/actions/0/output", schema)[0].contains("holds a name of 100000 bytes"));
        let hosts = vec![json!({"host": "api.example.com", "credential": true}); 50_000];
        assert_eq!(problems("/hosts", json!(hosts)), ["/hosts holds 50000 things; the limit is 2000"]);
        let choices: Vec<usize> = (0..50_000).collect();
        assert!(
            problems("/actions/0/output", json!({"enum": choices}))[0].contains("a list of 50000 things")
        );
        // Operations that share what they refer to: it is looked at once.
        let mut manifest = sound();
        let fields: Map<String, Value> =
            (0..2000).map(|i| (format!("p{i}"), json!({"description": "It"}))).collect();
        manifest["$defs"]["Large"] = json!({"type": "object", "properties": fields});
        let action = manifest["actions"][0].clone();
        let actions = (0..1000).map(|i| {
            let mut action = action.clone();
            action["name"] = json!(format!("make_{i}"));
            action["input"]["properties"] = json!({"a": {"$ref": "#/$defs/Large", "description": "It"}});
            action
        });
        manifest["actions"] = actions.collect();
        let manifest: Manifest = serde_json::from_value(manifest).unwrap();
        assert_eq!(manifest.check(), []);
        assert!(begun.elapsed() < std::time::Duration::from_secs(20), "{:?}", begun.elapsed());
    }
}
