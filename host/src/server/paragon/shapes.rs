//! What their clients read, by their names.

use std::collections::BTreeMap;

use connector_protocol::Manifest;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::store::{Connection, ConnectionState, Integration};

/// The colour of a connector that names none.
const GREY: &str = "#5f6368";

/// A part of their product that their client looks for before it connects an account in a popup of its own.
const HEADLESS: &str = "headless-cp";

/// Another one, before it keeps anything of users.
const METADATA: &str = "user-metadata";

/// Who a user is.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::server) struct Me {
    /// Always.
    pub(super) authenticated: bool,
    /// The app's own id of them.
    pub(super) user_id: String,
    /// What the app keeps of them.
    pub(super) meta: Map<String, Value>,
    /// Nothing here is one.
    pub(super) resources: Vec<Value>,
    /// The project.
    pub(super) project: SdkProject,
    /// Their accounts, by the type of what is set up; also where they have none.
    pub(super) integrations: BTreeMap<String, Installed>,
}

/// A project.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::server) struct SdkProject {
    id: String,
    /// What can be done, by their names.
    accessible_features: Vec<&'static str>,
}

impl SdkProject {
    pub(super) fn of(id: &str) -> Self {
        Self { id: id.to_owned(), accessible_features: vec![HEADLESS, METADATA] }
    }
}

/// How an account is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub(in crate::server) enum Status {
    /// It can be used.
    Valid,
    /// It has to be connected again.
    Invalid,
}

/// The accounts of a user at one provider. What stands beside the list is of the first of them that can be used.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::server) struct Installed {
    enabled: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    credential_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    credential_status: Option<Status>,
    #[serde(skip_serializing_if = "Option::is_none")]
    provider_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    provider_data: Option<BTreeMap<&'static str, String>>,
    all_credentials: Vec<Credential>,
}

impl Installed {
    pub(super) fn of<'a>(connections: impl Iterator<Item = &'a Connection>) -> Self {
        let all: Vec<Credential> = connections.map(Credential::of).collect();
        let first = all.iter().find(|one| one.status == Status::Valid).or(all.first());
        Self {
            enabled: first.is_some_and(|first| first.status == Status::Valid),
            credential_id: first.map(|first| first.id.clone()),
            credential_status: first.map(|first| first.status),
            provider_id: first.map(|first| first.provider_id.clone()),
            provider_data: first.map(|first| first.provider_data.clone()),
            all_credentials: all,
        }
    }
}

/// An account.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::server) struct Credential {
    id: String,
    /// The id again: their client looks up by this one what is not of its own form.
    external_id: String,
    project_id: String,
    integration_id: String,
    persona_id: String,
    is_preview_credential: bool,
    provider_id: String,
    provider_data: BTreeMap<&'static str, String>,
    pub(super) status: Status,
    #[schemars(with = "String")]
    date_created: Timestamp,
    #[schemars(with = "String")]
    date_updated: Timestamp,
    configurations: Vec<Configuration>,
}

/// The settings of an account, of which there is one set, and nothing in it: they are of workflows.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Configuration {
    id: String,
    external_id: String,
    connect_credential_id: String,
    is_default: bool,
    workflow_settings: Map<String, Value>,
    shared_settings: Map<String, Value>,
    config_meta: Map<String, Value>,
    #[schemars(with = "String")]
    date_created: Timestamp,
    #[schemars(with = "String")]
    date_updated: Timestamp,
}

impl Credential {
    pub(super) fn of(connection: &Connection) -> Self {
        let identity = connection.identity.as_ref();
        let (account, user) = (
            identity.and_then(|identity| identity.account.clone()),
            identity.and_then(|identity| identity.user.clone()),
        );
        let mut provider_data = BTreeMap::new();
        provider_data.extend(identity.map(|identity| ("label", identity.label.clone())));
        provider_data.extend(account.clone().map(|account| ("accountId", account)));
        provider_data.extend(user.clone().map(|user| ("userId", user)));
        Self {
            id: connection.id.clone(),
            external_id: connection.id.clone(),
            project_id: connection.project.clone(),
            integration_id: connection.integration.clone(),
            persona_id: connection.user.clone(),
            is_preview_credential: false,
            provider_id: user.or(account).unwrap_or_default(),
            provider_data,
            status: if is_usable(connection) { Status::Valid } else { Status::Invalid },
            date_created: connection.created,
            date_updated: connection.since,
            configurations: vec![Configuration {
                id: connection.id.clone(),
                external_id: connection.id.clone(),
                connect_credential_id: connection.id.clone(),
                is_default: true,
                workflow_settings: Map::new(),
                shared_settings: Map::new(),
                config_meta: Map::new(),
                date_created: connection.created,
                date_updated: connection.since,
            }],
        }
    }
}

/// Whether a connection can be used as it is.
pub(super) fn is_usable(connection: &Connection) -> bool {
    matches!(connection.state, ConnectionState::Valid | ConnectionState::Refreshing)
}

/// What can be connected.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::server) struct Entry {
    id: String,
    project_id: String,
    r#type: String,
    name: String,
    brand_color: String,
    is_active: bool,
    has_credential: bool,
    connected_user_limit_reached: bool,
    /// Never: what has to be typed is asked for in the popup.
    need_pre_oauth_inputs: bool,
    /// Always the one that has their client open a popup, whatever is asked for in it.
    authentication_type: &'static str,
    /// An entry without one is passed over.
    configs: Vec<Config>,
    workflows: Vec<Value>,
    sdk_integration_config: SdkConfig,
    #[schemars(with = "String")]
    date_created: Timestamp,
    #[schemars(with = "String")]
    date_updated: Timestamp,
}

#[derive(Serialize, JsonSchema)]
struct Config {
    id: String,
    values: Map<String, Value>,
}

/// What their client would ask before and after, which is nothing.
#[derive(Default, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct SdkConfig {
    account_types: Vec<Value>,
    auth_config_inputs: Vec<Value>,
    oauth_inputs: Vec<Value>,
    post_oauth_inputs: Vec<Value>,
    data_sources: Map<String, Value>,
}

impl Entry {
    pub(super) fn of(integration: &Integration, manifest: &Manifest, has_credential: bool) -> Self {
        Self {
            id: integration.id.clone(),
            project_id: integration.project.clone(),
            r#type: integration.connector.clone(),
            name: manifest.title.clone(),
            brand_color: color(manifest).to_owned(),
            is_active: true,
            has_credential,
            connected_user_limit_reached: false,
            need_pre_oauth_inputs: false,
            authentication_type: "oauth",
            configs: vec![Config { id: integration.id.clone(), values: Map::new() }],
            workflows: Vec::new(),
            sdk_integration_config: SdkConfig::default(),
            date_created: integration.created,
            date_updated: integration.changed,
        }
    }
}

/// A connector's colour.
pub(super) fn color(manifest: &Manifest) -> &str {
    let is_color = |color: &&str| {
        color
            .strip_prefix('#')
            .is_some_and(|digits| digits.len() == 6 && digits.bytes().all(|b| b.is_ascii_hexdigit()))
    };
    manifest.color.as_deref().filter(is_color).unwrap_or(GREY)
}
