//! Every address of the API, in one table: what it is for, who may ask, what it takes and gives, and what answers. The router
//! and the OpenAPI document are made of it, so that neither can know an address that the other does not; and so is the test
//! that asks each of them as everybody.

use std::sync::Arc;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    handler::Handler,
    http::{Method, StatusCode},
    middleware,
    routing::{MethodFilter, MethodRouter, on},
};
use connector_protocol::{Error, ErrorKind};
use schemars::{JsonSchema, Schema, SchemaGenerator};

use super::{
    State,
    answer::{Problem, Unread},
    guard::{Access, guard},
    metrics, pages, paragon, routes,
};
use crate::{
    api::{
        ConnectorLine, ConnectorShown, Health, Invoke, Output,
        accounts::{
            ConnectTyped, ConnectedShown, ConnectionShown, IntegrationSet, IntegrationShown, LinkShown, List,
            ProjectSet, TokenMade, TokenSet,
        },
        events::{
            Again, DeliveriesAgain, DeliveryShown, EventsAgain, Fire, Fired, RouteTo, SubscriptionChange,
            SubscriptionMade, SubscriptionSet, SubscriptionShown, TriggerLine, TriggerShown,
        },
        guide::Guide,
    },
    connections::{account::GivenUp, links::NewLink, rotate::Rotated},
    events::hooks::Refused,
    store::{ApiToken, Audit, Delivery, Dispatch, Event, Invocation, Project, SigningKey, User},
    worker,
};

/// How large a request may be, in bytes: an input, as a command would take it from a file.
pub(super) const MAX_BODY: usize = 17 * 1024 * 1024;

type Shape = fn(&mut SchemaGenerator) -> Schema;

/// A parameter of an address' query.
pub(crate) struct Parameter {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) shape: Shape,
    pub(crate) required: bool,
}

/// How many of a list somebody wants.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "it is a shape and nothing else")]
struct Limit(#[schemars(range(min = 1, max = routes::MOST_LISTED))] u32);

/// What is asked for at an address.
pub(crate) struct Route {
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    pub(crate) access: Access,
    /// What it does, in a few words.
    pub(crate) about: &'static str,
    pub(crate) query: Vec<Parameter>,
    pub(crate) takes: Option<Shape>,
    pub(crate) gives: Option<Shape>,
    /// What it gives, where that is not JSON.
    pub(crate) media: Option<&'static str>,
    /// Whether a repetition of it can be recognised by a key.
    pub(crate) keyed: bool,
    /// Another status with which it gives the same, and what that means.
    pub(crate) otherwise: Option<(StatusCode, &'static str)>,
    handler: MethodRouter<Arc<State>>,
}

fn shape<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

pub(super) fn route<H, T>(
    access: Access,
    method: Method,
    path: &'static str,
    about: &'static str,
    handler: H,
) -> Route
where
    H: Handler<T, Arc<State>>,
    T: 'static,
{
    let filter = MethodFilter::try_from(method.clone()).unwrap_or(MethodFilter::GET);
    let handler = on(filter, handler);
    Route {
        method,
        path,
        access,
        about,
        query: Vec::new(),
        takes: None,
        gives: None,
        media: None,
        keyed: false,
        otherwise: None,
        handler,
    }
}

impl Route {
    pub(super) fn takes<T: JsonSchema>(mut self) -> Self {
        self.takes = Some(shape::<T>);
        self
    }

    pub(super) fn gives<T: JsonSchema>(mut self) -> Self {
        self.gives = Some(shape::<T>);
        self
    }

    pub(super) fn media(mut self, media: &'static str) -> Self {
        self.media = Some(media);
        self
    }

    pub(super) fn asks<T: JsonSchema>(mut self, name: &'static str, about: &'static str) -> Self {
        self.query.push(Parameter { name, about, shape: shape::<T>, required: false });
        self
    }

    /// Takes a parameter without which nothing is done.
    pub(super) fn needs<T: JsonSchema>(mut self, name: &'static str, about: &'static str) -> Self {
        self.query.push(Parameter { name, about, shape: shape::<T>, required: true });
        self
    }

    fn pages(self) -> Self {
        self.asks::<Option<String>>("after", "What comes after this: the `next` of the part before")
            .asks::<Limit>("limit", "How many at most, from 1 to 200; 50 if nobody says")
    }

    fn keyed(mut self) -> Self {
        self.keyed = true;
        self
    }

    fn otherwise(mut self, status: StatusCode, about: &'static str) -> Self {
        self.otherwise = Some((status, about));
        self
    }
}

/// The table.
pub(crate) fn table() -> Vec<Route> {
    use Access::{Operator, Public, User as Anyone};
    use routes::{
        connections, connectors, events, integrations, invocations, links, projects, proxy, system, users,
        webhooks,
    };

    let mut table = vec![
        route(Public, Method::GET, "/healthz", "Whether it lives", system::healthz).gives::<system::Fine>(),
        route(Public, Method::GET, "/readyz", "Whether it can do its work", system::readyz)
            .gives::<system::Fine>()
            .otherwise(StatusCode::SERVICE_UNAVAILABLE, "It cannot."),
        route(Public, Method::GET, "/openapi.json", "This document", system::openapi)
            .gives::<serde_json::Value>(),
        route(Operator, Method::GET, "/metrics", "What is counted, for Prometheus", metrics::show)
            .media("text/plain"),
        route(Operator, Method::GET, "/v1/health", "How it is", system::health).gives::<Health>(),
        route(Operator, Method::POST, "/v1/drain", "Finish what is under way, and end", system::drain)
            .gives::<Health>(),
        route(Operator, Method::GET, "/v1/workers", "The processes that run connectors", system::workers)
            .gives::<Vec<worker::Running>>(),
        route(
            Anyone,
            Method::GET,
            "/v1/connectors",
            "Connectors, and files that are not used",
            connectors::list,
        )
        .gives::<List<ConnectorLine>>(),
        route(
            Anyone,
            Method::GET,
            "/v1/connectors/{id}",
            "A connector and what it declares",
            connectors::show,
        )
        .gives::<ConnectorShown>(),
        route(Anyone, Method::GET, "/v1/invocations", "What was run, the newest first", invocations::list)
            .asks::<Option<String>>("connector", "Of this connector")
            .asks::<Option<String>>("action", "Of this action of the connector")
            .asks::<Option<crate::store::State>>("state", "In this state")
            .pages()
            .gives::<List<Invocation>>(),
        route(Anyone, Method::POST, "/v1/invocations", "Run an action", invocations::invoke)
            .takes::<Invoke>()
            .keyed()
            .gives::<Output>(),
        route(Anyone, Method::GET, "/v1/invocations/{id}", "What was run", invocations::show)
            .gives::<Invocation>(),
        route(Anyone, Method::POST, "/v1/invocations/{id}/cancel", "Stop it", invocations::cancel)
            .gives::<system::Fine>(),
        route(Operator, Method::GET, "/v1/projects", "Projects", projects::list).gives::<List<Project>>(),
        route(Operator, Method::POST, "/v1/projects", "Add a project, or change it", projects::put)
            .takes::<ProjectSet>()
            .gives::<Project>(),
        route(Operator, Method::GET, "/v1/projects/{id}", "A project", projects::show).gives::<Project>(),
        route(
            Operator,
            Method::GET,
            "/v1/projects/{id}/keys",
            "The keys that users' tokens are signed with",
            projects::keys,
        )
        .gives::<List<SigningKey>>(),
        route(
            Operator,
            Method::POST,
            "/v1/projects/{id}/keys",
            "Add the public half of such a key",
            projects::add_key,
        )
        .takes::<projects::Pem>()
        .gives::<SigningKey>(),
        route(
            Operator,
            Method::DELETE,
            "/v1/projects/{id}/keys/{key}",
            "Take such a key out",
            projects::remove_key,
        )
        .gives::<system::Fine>(),
        route(Operator, Method::GET, "/v1/integrations", "Connectors that are set up", integrations::list)
            .gives::<List<IntegrationShown>>(),
        route(Operator, Method::POST, "/v1/integrations", "Set a connector up", integrations::add)
            .asks::<Option<bool>>("dry_run", "Only say what would be changed")
            .takes::<IntegrationSet>()
            .gives::<IntegrationShown>(),
        route(
            Operator,
            Method::GET,
            "/v1/integrations/{connector}",
            "How a connector is set up",
            integrations::show,
        )
        .gives::<IntegrationShown>(),
        route(Operator, Method::PATCH, "/v1/integrations/{connector}", "Change that", integrations::set)
            .asks::<Option<bool>>("dry_run", "Only say what would be changed")
            .takes::<IntegrationSet>()
            .gives::<IntegrationShown>(),
        route(
            Operator,
            Method::DELETE,
            "/v1/integrations/{connector}",
            "Undo it; with no connections left",
            integrations::remove,
        )
        .gives::<system::Fine>(),
        route(
            Operator,
            Method::GET,
            "/v1/integrations/{connector}/checks",
            "Whether it is set up as it should be",
            integrations::checks,
        )
        .gives::<integrations::Checks>(),
        route(
            Operator,
            Method::GET,
            "/v1/integrations/{connector}/setup",
            "How it is set up at its provider, step by step",
            integrations::setup,
        )
        .gives::<Guide>(),
        route(Operator, Method::GET, "/v1/users", "Users", users::list).pages().gives::<List<User>>(),
        route(Anyone, Method::GET, "/v1/users/{id}", "A user", users::show).gives::<User>(),
        route(Anyone, Method::PATCH, "/v1/users/{id}", "Change what is kept of a user", users::set)
            .takes::<users::Meta>()
            .gives::<User>(),
        route(
            Operator,
            Method::DELETE,
            "/v1/users/{id}",
            "Give up a user's connections, and erase them",
            users::erase,
        )
        .gives::<users::Erased>(),
        route(Anyone, Method::GET, "/v1/connections", "Connections", connections::list)
            .asks::<Option<String>>("connector", "Of this connector")
            .asks::<Option<String>>("user", "Of this user")
            .asks::<Option<crate::store::ConnectionState>>("state", "In this state")
            .pages()
            .gives::<List<ConnectionShown>>(),
        route(
            Anyone,
            Method::POST,
            "/v1/connections",
            "Connect an account with what is typed",
            connections::connect,
        )
        .takes::<ConnectTyped>()
        .gives::<ConnectedShown>(),
        route(Anyone, Method::GET, "/v1/connections/{id}", "A connection", connections::show)
            .gives::<ConnectionShown>(),
        route(
            Anyone,
            Method::DELETE,
            "/v1/connections/{id}",
            "Give a connection up, and take it away",
            connections::remove,
        )
        .gives::<GivenUp>(),
        route(
            Anyone,
            Method::POST,
            "/v1/connections/{id}/test",
            "Ask the provider whose account it is",
            connections::test,
        )
        .gives::<ConnectionShown>(),
        route(
            Anyone,
            Method::POST,
            "/v1/connections/{id}/refresh",
            "Renew its token now",
            connections::refresh,
        )
        .gives::<ConnectionShown>(),
        route(
            Anyone,
            Method::POST,
            "/v1/connections/{id}/revoke",
            "Give a connection up; it stays, revoked",
            connections::revoke,
        )
        .gives::<GivenUp>(),
        route(
            Anyone,
            Method::POST,
            "/v1/connections/{id}/actions/{name}",
            "Run an action; the body is its input",
            invocations::invoke_as,
        )
        .takes::<serde_json::Map<String, serde_json::Value>>()
        .keyed()
        .gives::<Output>(),
        route(
            Anyone,
            Method::POST,
            "/v1/connect-links",
            "Make a one-time address at which a user connects an account",
            links::add,
        )
        .takes::<NewLink>()
        .gives::<LinkShown>(),
        route(Anyone, Method::GET, "/v1/connect-links/{id}", "How far it is", links::show)
            .gives::<LinkShown>(),
        route(Operator, Method::GET, "/v1/tokens", "Tokens for this API", users::tokens)
            .gives::<List<ApiToken>>(),
        route(Operator, Method::POST, "/v1/tokens", "Make a token", users::add_token)
            .takes::<TokenSet>()
            .gives::<TokenMade>(),
        route(Operator, Method::DELETE, "/v1/tokens/{id}", "Take a token back", users::remove_token)
            .gives::<system::Fine>(),
        route(Anyone, Method::GET, "/v1/triggers", "What can be subscribed to", events::triggers)
            .asks::<Option<String>>("connector", "Of this connector")
            .gives::<List<TriggerLine>>(),
        route(
            Anyone,
            Method::GET,
            "/v1/triggers/{name}",
            "A trigger and what its events hold",
            events::trigger,
        )
        .gives::<TriggerShown>(),
        route(
            Operator,
            Method::POST,
            "/v1/triggers/{name}/fire",
            "Send a sample through the whole way that a provider's delivery takes",
            events::fire,
        )
        .takes::<Fire>()
        .gives::<Fired>(),
        route(Operator, Method::GET, "/v1/subscriptions", "Subscriptions", events::subscriptions)
            .asks::<Option<String>>("user", "Of this user")
            .pages()
            .gives::<List<SubscriptionShown>>(),
        route(Operator, Method::POST, "/v1/subscriptions", "Subscribe to a trigger", events::subscribe)
            .takes::<SubscriptionSet>()
            .gives::<SubscriptionMade>(),
        route(Operator, Method::GET, "/v1/subscriptions/{id}", "A subscription", events::subscription)
            .gives::<SubscriptionShown>(),
        route(
            Operator,
            Method::PATCH,
            "/v1/subscriptions/{id}",
            "Change a subscription, pause it or let it go on",
            events::change_subscription,
        )
        .takes::<SubscriptionChange>()
        .gives::<SubscriptionShown>(),
        route(
            Operator,
            Method::DELETE,
            "/v1/subscriptions/{id}",
            "Take a subscription away, with what is still to be sent for it",
            events::unsubscribe,
        )
        .gives::<system::Fine>(),
        route(Anyone, Method::GET, "/v1/events", "What has happened, the oldest first", events::events)
            .asks::<Option<String>>("type", "Of this type: `connector.trigger`")
            .asks::<Option<String>>("connection", "Of this connection")
            .asks::<Option<String>>("user", "Of this user")
            .asks::<Option<bool>>("unrouted", "Those that nobody is known for, instead; for operators")
            .asks::<Option<bool>>("newest", "The newest first")
            .pages()
            .gives::<List<Event>>(),
        route(
            Operator,
            Method::POST,
            "/v1/events/replay",
            "Send events again, under their ids",
            events::send_again,
        )
        .takes::<EventsAgain>()
        .gives::<Again>(),
        route(Anyone, Method::GET, "/v1/events/{id}", "An event", events::event).gives::<Event>(),
        route(
            Operator,
            Method::POST,
            "/v1/events/{id}/route",
            "Give an event that nobody is known for to a connection",
            events::route,
        )
        .takes::<RouteTo>()
        .gives::<Event>(),
        route(
            Operator,
            Method::GET,
            "/v1/dispatches",
            "What is sent to apps and was, the newest first",
            events::dispatches,
        )
        .asks::<Option<String>>("event", "Of this event")
        .asks::<Option<String>>("subscription", "For this subscription")
        .asks::<Option<crate::store::DispatchState>>("state", "In this state")
        .pages()
        .gives::<List<Dispatch>>(),
        route(
            Operator,
            Method::GET,
            "/v1/deliveries",
            "Webhook requests that were kept, the newest first",
            events::deliveries,
        )
        .asks::<Option<String>>("connector", "Of this connector")
        .asks::<Option<crate::store::DeliveryState>>("state", "In this state")
        .pages()
        .gives::<List<Delivery>>(),
        route(
            Operator,
            Method::GET,
            "/v1/deliveries/refused",
            "The last webhook requests that were refused, the newest first",
            events::refused,
        )
        .gives::<List<Refused>>(),
        route(
            Operator,
            Method::POST,
            "/v1/deliveries/replay",
            "Make the events of deliveries again",
            events::sort_again,
        )
        .takes::<DeliveriesAgain>()
        .gives::<Again>(),
        route(
            Operator,
            Method::GET,
            "/v1/deliveries/{id}",
            "A webhook request and what was in it",
            events::delivery,
        )
        .gives::<DeliveryShown>(),
        route(Operator, Method::GET, "/v1/audit", "Who did what, the oldest first", system::audit)
            .pages()
            .gives::<List<Audit>>(),
        route(
            Operator,
            Method::POST,
            "/v1/secrets/rotate-key",
            "Seal all secrets with another master key",
            system::rotate_key,
        )
        .gives::<Rotated>(),
        route(
            Operator,
            Method::POST,
            "/v1/backup",
            "Copy the store into a file on the server",
            system::backup,
        )
        .takes::<system::Backup>()
        .gives::<system::Fine>(),
        route(Public, Method::GET, "/connect/{token}", "Where a user connects an account", pages::link)
            .media("text/html"),
        route(Public, Method::POST, "/connect/{token}", "Where they say yes", pages::follow)
            .media("text/html"),
        route(Public, Method::GET, "/oauth/callback", "Where providers send them back to", pages::callback)
            .media("text/html"),
        route(
            Public,
            Method::GET,
            "/oauth/nonce/{nonce}",
            "Whether the outer address leads here",
            system::nonce,
        )
        .gives::<system::Nonce>(),
    ];
    for method in [Method::GET, Method::POST, Method::PUT] {
        let about = "Where providers send what has happened";
        let path = "/webhooks/{connector}/{integration}";
        table.push(route(Public, method.clone(), path, about, webhooks::take).media("*/*"));
        let path = "/webhooks/{connector}/{integration}/{hook}";
        table.push(route(Public, method.clone(), path, about, webhooks::take_named).media("*/*"));
        let path = "/webhooks/{connector}/{integration}/{hook}/{subscription}";
        table.push(route(Public, method, path, about, webhooks::take_for_one).media("*/*"));
    }
    for method in
        [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::HEAD, Method::OPTIONS]
    {
        let about = "Send a request to the provider as this connection";
        table.push(
            route(Anyone, method, "/v1/connections/{id}/proxy/{*path}", about, proxy::forward).media("*/*"),
        );
    }
    table.extend(paragon::table());
    table
}

/// The router of a server.
pub(super) fn router(state: &Arc<State>) -> Router {
    let mut router = Router::new();
    for Route { path, access, handler, .. } in table() {
        let guarded = handler.route_layer(middleware::from_fn_with_state((state.clone(), access), guard));
        router = router.route(path, guarded);
    }
    router
        .fallback(async || Problem(unknown("there is no such address")))
        .method_not_allowed_fallback(async || Unread::method(no_such_method()))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(middleware::from_fn(paragon::translate))
        .layer(middleware::from_fn_with_state(state.clone(), system_headers))
        .with_state(state.clone())
}

use routes::system::headers as system_headers;

fn unknown(text: &str) -> Error {
    Error::new(ErrorKind::Unknown, text).hint("see what there is: /openapi.json")
}

/// The router says in `Allow` which methods there are.
fn no_such_method() -> Error {
    Error::new(ErrorKind::Usage, "this address does not take that method")
        .hint("see what it takes: /openapi.json")
}
