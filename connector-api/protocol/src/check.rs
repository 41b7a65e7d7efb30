//! What a host has to be able to trust in a manifest before it uses it.
//!
//! Everything here is about the document alone: whether the types fit the manifest is a test of the connector's own, and
//! whether the provider does what the manifest says is the fixtures' business.

mod webhooks;

use std::collections::HashSet;

use serde_json::{Map, Value};

use crate::{
    Manifest, Problem,
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

/// The keywords of ours that a schema may hold (`x-` is where typos would go unnoticed).
const EXTENSIONS: &[&str] = &[
    "x-ui",
    "x-secret",
    "x-options",
    "x-dynamic-schema",
    "x-expr",
    "x-timezone-field",
];
const UI_MEMBERS: &[&str] = &[
    "widget",
    "order",
    "group",
    "placeholder",
    "visibility",
    "rows",
    "unit",
    "enumOrder",
    "errors",
];

pub(crate) fn check(manifest: &Manifest) -> Vec<Problem> {
    let mut checker = Checker {
        manifest,
        problems: Vec::new(),
    };
    checker.identity();
    checker.places();
    checker.auth();
    checker.webhooks();
    checker.operations();
    checker.definitions();
    checker.problems
}

struct Checker<'a> {
    manifest: &'a Manifest,
    problems: Vec<Problem>,
}

impl<'a> Checker<'a> {
    fn problem(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.problems.push(Problem::new(path, message));
    }

    fn identity(&mut self) {
        let manifest = self.manifest;
        if manifest.manifest_version != MANIFEST_VERSION {
            let version = manifest.manifest_version;
            self.problem(
                "/manifest_version",
                format!("is {version}; this version knows {MANIFEST_VERSION}"),
            );
        }
        if !is_connector_id(&manifest.id) {
            self.problem(
                "/id",
                "must be lower-case letters, digits and hyphens, beginning with a letter",
            );
        }
        if let Err(error) = semver::Version::parse(&manifest.version) {
            self.problem("/version", format!("is not a semantic version: {error}"));
        }
        for (path, text) in [
            ("/title", &manifest.title),
            ("/description", &manifest.description),
        ] {
            if text.trim().is_empty() {
                self.problem(path, "must not be empty");
            }
        }
        if manifest.auth.is_empty() {
            self.problem(
                "/auth",
                "must name at least one way to authorise a connection (`none` is one)",
            );
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
        self.names(
            "/scope_families",
            manifest.scope_families.iter().map(|family| family.name.as_str()),
        );
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
                && !self
                    .manifest
                    .scope_families
                    .iter()
                    .any(|known| known.name == *family)
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
                        self.problem(
                            format!("{path}/{name}/base"),
                            format!("`{base}` is not among `bases`"),
                        );
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
                for (name, value) in &oauth.token_parameters {
                    let known = |hole: &str| known.contains(hole);
                    self.template(format!("{path}/token_parameters/{}", escape(name)), value, &known);
                }
            }
            if matches!(auth.kind, AuthKind::ApiKey {} | AuthKind::Basic {}) && secrets.is_empty() {
                self.problem(
                    format!("{path}/parameters"),
                    "must have at least one field marked `x-secret`",
                );
            }
            if !matches!(auth.kind, AuthKind::None {}) && auth.placement.is_empty() {
                self.problem(
                    format!("{path}/placement"),
                    "must say where the credential goes on a request",
                );
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
        self.names(
            "/actions",
            manifest.actions.iter().map(|action| action.name.as_str()),
        );
        self.names(
            "/triggers",
            manifest.triggers.iter().map(|trigger| trigger.name.as_str()),
        );
        self.names(
            "/lookups",
            manifest.lookups.iter().map(|lookup| lookup.name.as_str()),
        );
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
                        self.pointer(
                            &format!("{path}/paging/more"),
                            more.as_deref().unwrap_or_default(),
                        );
                    }
                    PagingStyle::Page { list, pages, .. } => {
                        self.pointer(&format!("{path}/paging/list"), list);
                        self.pointer(
                            &format!("{path}/paging/pages"),
                            pages.as_deref().unwrap_or_default(),
                        );
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
        let mut seen = HashSet::new();
        self.fields_described(path, schema, &mut seen);
    }

    fn fields_described(&mut self, path: &str, schema: &'a Map<String, Value>, seen: &mut HashSet<String>) {
        let manifest = self.manifest;
        let mut missing = Vec::new();
        let mut onward = Vec::new();
        let mut visitor = |members: &'a Map<String, Value>, at: &str| {
            // What stands behind a condition repeats fields that are described elsewhere.
            let conditional = ["/if", "/then", "/else", "/not"]
                .iter()
                .any(|word| at.contains(word));
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
                    if !described {
                        missing.push(format!("{at}/properties/{}", escape(name)));
                    }
                }
            }
            if let Some(name) = members.get("$ref").and_then(Value::as_str).and_then(local_name) {
                onward.push(name.to_owned());
            }
        };
        schema::visit(schema, path, &mut visitor);
        for path in missing {
            self.problem(path, "has no description: write a doc comment");
        }
        for name in onward {
            if seen.insert(name.clone())
                && let Some(Value::Object(definition)) = manifest.defs.get(&name)
            {
                self.fields_described(&format!("/$defs/{}", escape(&name)), definition, seen);
            }
        }
    }

    /// Any schema: small enough, no reference that leads outside or nowhere, no unknown keyword of ours.
    fn schema(&mut self, path: &str, schema: &'a Schema) {
        let manifest = self.manifest;
        let mut found = Vec::new();
        let mut count = 0;
        schema::visit(schema, path, &mut |members, at| {
            count += 1;
            if at.matches('/').count() - path.matches('/').count() > 2 * MAX_DEPTH {
                found.push((at.to_owned(), format!("is nested deeper than {MAX_DEPTH} levels")));
            }
            for (keyword, value) in members {
                match keyword.as_str() {
                    "$ref" => match value.as_str().and_then(local_name) {
                        Some(name) if manifest.defs.contains_key(name) => {}
                        _ => found.push((
                            format!("{at}/$ref"),
                            format!("{value} does not lead into `$defs`"),
                        )),
                    },
                    "$dynamicRef" | "$recursiveRef" | "$id" | "$anchor" | "$dynamicAnchor" => {
                        found.push((format!("{at}/{keyword}"), "is not used in manifests".to_owned()));
                    }
                    "x-ui" => {
                        for member in value.as_object().into_iter().flatten().map(|(name, _)| name) {
                            if !UI_MEMBERS.contains(&member.as_str()) {
                                found.push((format!("{at}/x-ui"), unknown(member, UI_MEMBERS)));
                            }
                        }
                    }
                    other if other.starts_with("x-") && !EXTENSIONS.contains(&other) => {
                        found.push((at.to_owned(), unknown(other, EXTENSIONS)));
                    }
                    _ => {}
                }
            }
        });
        if count > MAX_SCHEMAS {
            found.push((
                path.to_owned(),
                format!("holds {count} schemas; the limit is {MAX_SCHEMAS}"),
            ));
        }
        found.truncate(20);
        for (path, message) in found {
            self.problem(path, message);
        }
    }
}

fn unknown(name: &str, known: &[&str]) -> String {
    match crate::did_you_mean(name, known.iter().copied()) {
        Some(meant) => format!("`{name}` is not a keyword; did you mean `{meant}`?"),
        None => format!("`{name}` is not a keyword; there are {}", known.join(", ")),
    }
}
