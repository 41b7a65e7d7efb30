//! What an author writes for the whole connector: one value, in reading order.

use std::{collections::BTreeMap, future::Future, pin::Pin, sync::Arc};

use connector_protocol::{
    Error, ErrorKind, Manifest, Result,
    answers::{AnswerRule, Answers, ErrorMembers, WaitHeader},
    manifest::{
        self, Auth, Base, Effect, HostRule, RateClass, RateLimit, ScopeFamily, Scopes, Setup, Webhook,
    },
    message::{self, Identity},
};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, value::RawValue};

use crate::{
    Action, Ctx, Refusal, ScopeSet, Trigger, Unproven,
    context::{Host, Operation, Shared},
    decode,
    manifest::Schemas,
    trigger,
};

type Boxed<T> = Pin<Box<dyn Future<Output = Result<T>> + Send>>;
type RunFn = Box<dyn Fn(Ctx, Box<RawValue>) -> Boxed<Box<RawValue>> + Send + Sync>;
type IdentifyFn = Box<dyn Fn(Ctx) -> Boxed<Identity> + Send + Sync>;
type VerifyFn = Box<dyn Fn(Ctx, Unproven) -> Boxed<bool> + Send + Sync>;

/// What Jackfield is to know of one provider.
///
/// ```
/// use connector_api::prelude::*;
/// # pub struct Ping;
/// # /// Ask whether the provider is there
/// # #[derive(Serialize, Deserialize, JsonSchema)] pub struct Input {}
/// # impl Action for Ping {
/// #     const NAME: &'static str = "ping"; const TITLE: &'static str = "Ping"; const EFFECT: Effect = Effect::Reads;
/// #     type Input = Input; type Output = ();
/// #     async fn run(ctx: &Ctx, _: Input) -> Result<()> { ctx.get("/ping").send_empty().await }
/// # }
///
/// #[derive(Serialize, Deserialize, JsonSchema)]
/// pub struct Account {
///     /// The key from your profile page
///     #[schemars(extend("x-secret" = true))]
///     api_key: String,
/// }
///
/// pub fn connector() -> Connector {
///     Connector::new("acme", "Acme", "0.1.0")
///         .description("Things and tasks in Acme")
///         .host("api.example.com")
///         .base("api", ["https://api.example.com/v1"])
///         .auth_with::<Account>(Auth::api_key("api_key", "API key").header("X-Api-Key", "{api_key}"))
///         .action::<Ping>()
/// }
///
/// assert_eq!(connector().manifest().check(), []);
/// ```
pub struct Connector {
    declared: Manifest,
    /// What there is to add once somebody wants the manifest. A worker that runs an action does not, and deriving schemas is
    /// the greater part of making a connector.
    declare: Vec<Declare>,
    identify: Option<IdentifyFn>,
    /// What proves requests, by the names of webhooks.
    verify: BTreeMap<String, VerifyFn>,
    explain: fn(&Refusal) -> Error,
    actions: Vec<ActionEntry>,
    triggers: Vec<Box<dyn ErasedTrigger>>,
}

/// Adds something to the manifest, with the schemas of its types.
type Declare = Box<dyn Fn(&mut Schemas, &mut Manifest) + Send + Sync>;

struct ActionEntry {
    operation: Operation,
    run: RunFn,
}

impl Connector {
    /// A connector's id (lower-case letters, digits, hyphens), the name people know the provider by, and the connector's
    /// own semantic version: `env!("CARGO_PKG_VERSION")`.
    pub fn new(id: &str, title: &str, version: &str) -> Self {
        let declared = Manifest {
            manifest_version: manifest::MANIFEST_VERSION,
            id: id.to_owned(),
            title: title.to_owned(),
            version: version.to_owned(),
            description: String::new(),
            docs: None,
            color: None,
            requires: vec!["http".to_owned()],
            hosts: Vec::new(),
            bases: Vec::new(),
            auth: Vec::new(),
            scope_families: Vec::new(),
            identify_scopes: Vec::new(),
            rates: Vec::new(),
            answers: Answers::default(),
            webhooks: Vec::new(),
            actions: Vec::new(),
            triggers: Vec::new(),
            lookups: Vec::new(),
            setup: None,
            defs: serde_json::Map::new(),
        };
        Self {
            declared,
            declare: Vec::new(),
            identify: None,
            verify: BTreeMap::new(),
            explain: Refusal::default_error,
            actions: Vec::new(),
            triggers: Vec::new(),
        }
    }

    /// One sentence about what it connects.
    #[must_use]
    pub fn description(mut self, text: &str) -> Self {
        self.declared.description = text.to_owned();
        self
    }

    /// The provider's documentation, for people.
    #[must_use]
    pub fn docs(mut self, address: &str) -> Self {
        self.declared.docs = Some(address.to_owned());
        self
    }

    /// The provider's colour, as `#rrggbb`.
    #[must_use]
    pub fn color(mut self, color: &str) -> Self {
        self.declared.color = Some(color.to_owned());
        self
    }

    /// Names a capability of the host, besides `http`, without which the connector cannot work.
    #[must_use]
    pub fn requires(mut self, capability: &str) -> Self {
        self.declared.requires.push(capability.to_owned());
        self
    }

    /// Allows requests to a host, with the credential. `*.` in front allows every name below it, a template such as
    /// `{host}` is filled from the connection's parameters.
    #[must_use]
    pub fn host(mut self, host: &str) -> Self {
        self.declared.hosts.push(HostRule { host: host.to_owned(), credential: true });
        self
    }

    /// Allows requests to a host, without the credential.
    #[must_use]
    pub fn host_without_credential(mut self, host: &str) -> Self {
        self.declared.hosts.push(HostRule { host: host.to_owned(), credential: false });
        self
    }

    /// Adds a base address. The first one is the default. Of its templates, the first one counts of which everything is
    /// known: parameters of the connection (`{subdomain}`), kept members of the token answer (`{token.api_url}`).
    #[must_use]
    pub fn base<const N: usize>(mut self, name: &str, urls: [&str; N]) -> Self {
        let urls = urls.iter().map(|url| (*url).to_owned()).collect();
        self.declared.bases.push(Base { name: name.to_owned(), urls });
        self
    }

    /// Adds a way to authorise a connection that asks for nothing of its own. The first one is the default.
    #[must_use]
    pub fn auth(mut self, auth: Auth) -> Self {
        self.declared.auth.push(auth);
        self
    }

    /// Adds a way to authorise a connection, with what it asks of whoever connects. Secrets are marked
    /// `#[schemars(extend("x-secret" = true))]`.
    #[must_use]
    pub fn auth_with<P: JsonSchema>(mut self, auth: Auth) -> Self {
        let index = self.declared.auth.len();
        self.declared.auth.push(auth);
        self.declare.push(Box::new(move |schemas, manifest| {
            manifest.auth[index].parameters = schemas.input::<P>().schema;
        }));
        self
    }

    /// Adds a family of scopes, for a provider with several naming schemes.
    #[must_use]
    pub fn scope_family(mut self, name: &str, title: &str) -> Self {
        self.declared.scope_families.push(ScopeFamily { name: name.to_owned(), title: title.to_owned() });
        self
    }

    /// Says how the account behind a connection is named, and the sets of scopes of which one is needed for that.
    ///
    /// ```
    /// # use connector_api::prelude::*;
    /// #[derive(Deserialize)]
    /// struct Me {
    ///     id: Id,
    ///     email: String,
    /// }
    ///
    /// async fn identify(ctx: Ctx) -> Result<Identity> {
    ///     let me: Me = ctx.get("/me").send().await?;
    ///     Ok(Identity { account: None, user: Some(me.id.to_string()), label: me.email })
    /// }
    ///
    /// const SCOPES: &[ScopeSet] = &[ScopeSet::new(&["profile"])];
    /// let connector = Connector::new("acme", "Acme", "0.1.0").identify(SCOPES, identify);
    /// # assert_eq!(connector.manifest().identify_scopes.len(), 1);
    /// ```
    #[must_use]
    pub fn identify<F, Fut>(mut self, scopes: &'static [ScopeSet], identify: F) -> Self
    where
        F: Fn(Ctx) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Identity>> + Send + 'static,
    {
        self.declared.identify_scopes = declare_scopes(scopes);
        self.identify = Some(Box::new(move |ctx| Box::pin(identify(ctx))));
        self
    }

    /// Adds a rate class, with its limits by plan: requests a second and a day.
    #[must_use]
    pub fn rate<const N: usize>(
        mut self,
        name: &str,
        description: &str,
        limits: [(&str, Option<u32>, Option<u32>); N],
    ) -> Self {
        let limits = limits
            .iter()
            .map(|(plan, per_second, per_day)| RateLimit {
                plan: (*plan).to_owned(),
                per_second: *per_second,
                per_day: *per_day,
            })
            .collect();
        self.declared.rates.push(RateClass {
            name: name.to_owned(),
            description: description.to_owned(),
            limits,
        });
        self
    }

    /// Says where an error says what it is.
    #[must_use]
    pub fn error_members(mut self, members: ErrorMembers) -> Self {
        self.declared.answers.error = members;
        self
    }

    /// Adds a rule about what an answer means. The first one that fits counts.
    #[must_use]
    pub fn answer_rule(mut self, rule: AnswerRule) -> Self {
        self.declared.answers.rules.push(rule);
        self
    }

    /// Names a header besides `Retry-After` that says when to come back.
    #[must_use]
    pub fn wait_header(mut self, header: WaitHeader) -> Self {
        self.declared.answers.wait.push(header);
        self
    }

    /// Says what error a refusal of the provider becomes; see [`Refusal`].
    #[must_use]
    pub fn explain(mut self, explain: fn(&Refusal) -> Error) -> Self {
        self.explain = explain;
        self
    }

    /// Adds a webhook that the provider sends.
    #[must_use]
    pub fn webhook(mut self, webhook: Webhook) -> Self {
        self.declared.webhooks.push(webhook);
        self
    }

    /// Adds a webhook whose requests only this function can prove: one that is [`custom`](Webhook::custom). It is given whatever
    /// strangers send, before it is answered, and says whether it comes from the provider.
    ///
    /// The host waits for about a second, and for a few requests at once: it has to be quick, and nothing is sent meanwhile, since
    /// nobody is known whose account it could be. An error, a panic or a missing library is answered with 503, so that the provider
    /// sends it again. The secrets of the webhook are there if it declares one.
    ///
    /// ```
    /// # use connector_api::prelude::*;
    /// use connector_api::webhook::{Secret, Webhook};
    ///
    /// #[derive(Deserialize)]
    /// struct Signed {
    ///     text: String,
    ///     signature: String,
    /// }
    ///
    /// # fn is_signature_of(_: &str, _: &str, _: &str) -> bool { true }
    /// async fn verify(_: Ctx, request: Unproven) -> Result<bool> {
    ///     // What is no such thing is not the provider's.
    ///     let Ok(signed) = request.delivery.json::<Signed>() else { return Ok(false) };
    ///     Ok(request.secrets.iter().any(|secret| is_signature_of(&signed.signature, &signed.text, secret)))
    /// }
    ///
    /// let webhook = Webhook { secret: Some(Secret::of_integration("Signing key")), ..Webhook::custom() };
    /// let connector = Connector::new("acme", "Acme", "0.1.0").webhook_proved_by(webhook, verify);
    /// # assert_eq!(connector.manifest().webhooks.len(), 1);
    /// ```
    #[must_use]
    pub fn webhook_proved_by<F, Fut>(mut self, webhook: Webhook, verify: F) -> Self
    where
        F: Fn(Ctx, Unproven) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<bool>> + Send + 'static,
    {
        let verify: VerifyFn = Box::new(move |ctx, request| Box::pin(verify(ctx, request)));
        self.verify.insert(webhook.name.clone(), verify);
        self.webhook(webhook)
    }

    /// Says how the provider's side is set up, step by step. The host fills in what is its own: addresses, scopes, commands.
    ///
    /// ```
    /// # use connector_api::prelude::*;
    /// use connector_api::setup::{Setup, Show, Step};
    ///
    /// let setup = Setup::at("https://acme.example.com/apps")
    ///     .step(Step::new("Make an app", "Press New app and name it after your product."))
    ///     .step(Step::new("Connect", "Whoever made the app can be the first.").showing([Show::Connect]));
    /// let connector = Connector::new("acme", "Acme", "0.1.0").setup(setup);
    /// # assert_eq!(connector.manifest().setup.unwrap().steps.len(), 2);
    /// ```
    #[must_use]
    pub fn setup(mut self, setup: Setup) -> Self {
        self.declared.setup = Some(setup);
        self
    }

    /// Adds an action.
    #[must_use]
    pub fn action<A: Action>(mut self) -> Self {
        let operation = Operation {
            name: A::NAME,
            effect: A::EFFECT,
            scopes: A::SCOPES,
            rate: A::RATE,
            paging: A::paging().map(|paging| paging.style),
        };
        self.declare.push(Box::new(|schemas, manifest| {
            let input = schemas.input::<A::Input>();
            let output = schemas.output::<A::Output>();
            manifest.actions.push(manifest::Action {
                name: A::NAME.to_owned(),
                title: A::TITLE.to_owned(),
                description: input.description,
                docs: A::DOCS.map(str::to_owned),
                effect: A::EFFECT,
                scopes: declare_scopes(A::SCOPES),
                rate: A::RATE.map(str::to_owned),
                paging: A::paging(),
                input: input.schema,
                output: output.schema,
            });
        }));
        let run: RunFn = Box::new(|ctx, input| {
            Box::pin(async move {
                let input: A::Input = decode::read(input.get().as_bytes()).map_err(|misfit| {
                    Error::invalid_input(misfit.path.clone(), format!("the input does not fit: {misfit}"))
                })?;
                let output = A::run(&ctx, input).await?;
                write_raw(&output)
            })
        });
        self.actions.push(ActionEntry { operation, run });
        self
    }

    /// Adds a trigger.
    #[must_use]
    pub fn trigger<T: Trigger>(mut self) -> Self {
        self.declare.push(Box::new(|schemas, manifest| {
            let parameters = schemas.input::<T::Params>();
            let event = schemas.output::<T::Event>();
            manifest.triggers.push(manifest::Trigger {
                name: T::NAME.to_owned(),
                title: T::TITLE.to_owned(),
                description: event.description,
                docs: T::DOCS.map(str::to_owned),
                source: T::SOURCE.declare(),
                scopes: declare_scopes(T::SCOPES),
                parameters: parameters.schema,
                event: event.schema,
                sample: T::sample(),
                sample_delivery: T::sample_delivery(),
            });
        }));
        self.triggers.push(Box::new(Erased::<T>(std::marker::PhantomData)));
        self
    }

    /// The manifest of all this.
    #[must_use]
    pub fn manifest(&self) -> Manifest {
        let (mut manifest, schemas) = self.derived();
        schemas.finish(&mut manifest);
        manifest
    }

    fn derived(&self) -> (Manifest, Schemas) {
        let (mut manifest, mut schemas) = (self.declared.clone(), Schemas::default());
        self.declare.iter().for_each(|declare| declare(&mut schemas, &mut manifest));
        (manifest, schemas)
    }

    /// Names that several types share.
    #[cfg(feature = "testing")]
    pub(crate) fn shared_type_names(&self) -> Vec<String> {
        self.derived().1.shared_names()
    }

    /// Webhooks that nothing proves, and functions that prove nothing: what is wrong with each.
    #[cfg(feature = "testing")]
    pub(crate) fn unproved(&self) -> Vec<String> {
        let wrong = |webhook: &Webhook| {
            let name = &webhook.name;
            match (matches!(webhook.verify, manifest::Verify::Custom {}), self.verify.contains_key(name)) {
                (true, false) => Some(format!(
                    "the webhook `{name}` is `custom`, and nothing proves its requests: declare it with `webhook_proved_by`"
                )),
                (false, true) => Some(format!(
                    "the webhook `{name}` is not `custom`, so the function that is to prove it is never asked"
                )),
                _ => None,
            }
        };
        self.declared.webhooks.iter().filter_map(wrong).collect()
    }

    /// The connector, ready to be called.
    pub(crate) fn ready(self) -> Ready {
        Ready {
            shared: Arc::new(Shared {
                title: self.declared.title,
                answers: self.declared.answers,
                explain: self.explain,
            }),
            identify: self.identify,
            verify: self.verify,
            actions: self.actions.into_iter().map(|entry| (entry.operation.name, entry)).collect(),
            triggers: self.triggers.into_iter().map(|entry| (entry.operation().name, entry)).collect(),
        }
    }
}

fn declare_scopes(scopes: &[ScopeSet]) -> Vec<Scopes> {
    scopes.iter().map(ScopeSet::declare).collect()
}

fn write_raw(value: &impl Serialize) -> Result<Box<RawValue>> {
    serde_json::value::to_raw_value(value).map_err(|error| {
        Error::new(ErrorKind::ConnectorFault, format!("the output cannot be written: {error}"))
    })
}

/// A connector whose functions can be found by name.
pub(crate) struct Ready {
    shared: Arc<Shared>,
    identify: Option<IdentifyFn>,
    verify: BTreeMap<String, VerifyFn>,
    actions: BTreeMap<&'static str, ActionEntry>,
    triggers: BTreeMap<&'static str, Box<dyn ErasedTrigger>>,
}

impl Ready {
    /// Answers `auth.<op>`.
    pub(crate) async fn auth(&self, op: &str, head: &[u8], host: Box<dyn Host>) -> Result<Vec<u8>> {
        let ("identify", Some(identify)) = (op, &self.identify) else {
            return Err(no_verb("auth", op));
        };
        let call: message::AuthCall = read_head(head)?;
        write_head(&identify(Ctx::new(host, call.context, no_operation(), self.shared.clone())).await?)
    }

    /// Answers `action.<op>`.
    pub(crate) async fn action(&self, op: &str, head: &[u8], host: Box<dyn Host>) -> Result<Vec<u8>> {
        if op != "run" {
            return Err(no_verb("action", op));
        }
        let call: message::RunCall = read_head(head)?;
        let entry = self.actions.get(call.name.as_str()).ok_or_else(|| {
            Error::new(ErrorKind::Unknown, format!("the library has no action `{}`", call.name))
        })?;
        let ctx = Ctx::new(host, call.context, entry.operation.clone(), self.shared.clone());
        let output = (entry.run)(ctx.clone(), call.input).await?;
        write_head(&message::RunAnswer { output, next: ctx.take_next() })
    }

    /// Answers `trigger.<op>`.
    pub(crate) async fn trigger(
        &self,
        op: &str,
        head: &[u8],
        body: &[u8],
        host: Box<dyn Host>,
    ) -> Result<Vec<u8>> {
        #[derive(serde::Deserialize)]
        struct Name {
            name: String,
        }
        if op == "verify" {
            return self.verify(head, body, host).await;
        }
        if !["on_delivery", "enrich", "register", "renew", "unregister", "poll"].contains(&op) {
            return Err(no_verb("trigger", op));
        }
        let Name { name } = read_head(head)?;
        let trigger = self
            .triggers
            .get(name.as_str())
            .ok_or_else(|| Error::new(ErrorKind::Unknown, format!("the library has no trigger `{name}`")))?;
        let ctx = |context| Ctx::new(host, context, trigger.operation(), self.shared.clone());
        match op {
            "on_delivery" => {
                let call: message::DeliveryCall = read_head(head)?;
                write_head(&trigger.on_delivery(trigger::Delivery::new(call.delivery, body.to_vec()))?)
            }
            "enrich" => {
                let call: message::EnrichCall = read_head(head)?;
                write_head(&trigger.enrich(ctx(call.context), call.emit).await?)
            }
            "register" => {
                let call: message::RegisterCall = read_head(head)?;
                let ctx = ctx(call.context.clone());
                write_head(&trigger.register(ctx, call).await?)
            }
            "poll" => {
                let call: message::PollCall = read_head(head)?;
                let ctx = ctx(call.context.clone());
                write_head(&trigger.poll(ctx, call).await?)
            }
            _ => {
                let call: message::RegistrationCall = read_head(head)?;
                let ctx = ctx(call.context.clone());
                if op == "renew" {
                    write_head(&trigger.renew(ctx, call).await?)
                } else {
                    trigger.unregister(ctx, call).await?;
                    Ok(b"{}".to_vec())
                }
            }
        }
    }
    async fn verify(&self, head: &[u8], body: &[u8], host: Box<dyn Host>) -> Result<Vec<u8>> {
        let call: message::VerifyCall = read_head(head)?;
        let verify = self.verify.get(&call.name).ok_or_else(|| no_verb("trigger", "verify"))?;
        let request = Unproven {
            delivery: trigger::Delivery::new(call.delivery, body.to_vec()),
            url: call.url,
            secrets: call.secrets,
        };
        let ctx = Ctx::new(host, call.context, no_operation(), self.shared.clone());
        write_head(&message::Verified { proven: verify(ctx, request).await? })
    }
}

/// What a call is about that is neither an action nor a trigger.
fn no_operation() -> Operation {
    Operation { name: "", effect: Effect::Reads, scopes: &[], rate: None, paging: None }
}

fn no_verb(family: &str, op: &str) -> Error {
    let op: String = op.chars().filter(|c| !c.is_control()).take(40).collect();
    Error::new(ErrorKind::Unsupported, format!("this connector has no `{family}.{op}`"))
}

fn read_head<'a, T: serde::Deserialize<'a>>(head: &'a [u8]) -> Result<T> {
    serde_json::from_slice(head).map_err(|error| {
        Error::new(ErrorKind::Internal, format!("the head of the call cannot be read: {error}"))
    })
}

fn write_head(head: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(head).map_err(|error| {
        Error::new(ErrorKind::ConnectorFault, format!("the answer cannot be written: {error}"))
    })
}

/// A trigger without its types.
trait ErasedTrigger: Send + Sync {
    fn operation(&self) -> Operation;
    fn on_delivery(&self, delivery: trigger::Delivery) -> Result<message::Emitted>;
    fn enrich(&self, ctx: Ctx, emit: message::Emit) -> Boxed<message::Emit>;
    fn register(&self, ctx: Ctx, call: message::RegisterCall) -> Boxed<message::Registration>;
    fn renew(&self, ctx: Ctx, call: message::RegistrationCall) -> Boxed<message::Registration>;
    fn unregister(&self, ctx: Ctx, call: message::RegistrationCall) -> Boxed<()>;
    fn poll(&self, ctx: Ctx, call: message::PollCall) -> Boxed<message::Polled>;
}

struct Erased<T>(std::marker::PhantomData<fn() -> T>);

impl<T: Trigger> ErasedTrigger for Erased<T> {
    fn operation(&self) -> Operation {
        Operation { name: T::NAME, effect: Effect::Reads, scopes: T::SCOPES, rate: None, paging: None }
    }

    fn on_delivery(&self, delivery: trigger::Delivery) -> Result<message::Emitted> {
        Ok(message::Emitted { events: declare_events(T::on_delivery(&delivery)?)? })
    }

    fn enrich(&self, ctx: Ctx, emit: message::Emit) -> Boxed<message::Emit> {
        Box::pin(async move { T::enrich(&ctx, trigger::Emit::from_declared(emit)?).await?.declare() })
    }

    fn register(&self, ctx: Ctx, call: message::RegisterCall) -> Boxed<message::Registration> {
        Box::pin(async move {
            let params = trigger::read_params(call.parameters)?;
            Ok(T::register(&ctx, trigger::NewHook { params, url: call.url, secret: call.secret }).await?.0)
        })
    }

    fn renew(&self, ctx: Ctx, call: message::RegistrationCall) -> Boxed<message::Registration> {
        Box::pin(async move {
            let params = trigger::read_params(call.parameters)?;
            Ok(T::renew(
                &ctx,
                trigger::Hook { params, url: call.url, secret: call.secret, state: call.state },
            )
            .await?
            .0)
        })
    }

    fn unregister(&self, ctx: Ctx, call: message::RegistrationCall) -> Boxed<()> {
        Box::pin(async move {
            let params = trigger::read_params(call.parameters)?;
            T::unregister(
                &ctx,
                trigger::Hook { params, url: call.url, secret: call.secret, state: call.state },
            )
            .await
        })
    }

    fn poll(&self, ctx: Ctx, call: message::PollCall) -> Boxed<message::Polled> {
        Box::pin(async move {
            let params = trigger::read_params(call.parameters)?;
            let polled = T::poll(&ctx, trigger::Poll { params, state: call.state }).await?;
            Ok(message::Polled {
                events: declare_events(polled.events)?,
                state: polled.state,
                more: polled.more,
            })
        })
    }
}

fn declare_events<T: Serialize>(events: Vec<trigger::Emit<T>>) -> Result<Vec<message::Emit>> {
    events.into_iter().map(trigger::Emit::declare).collect()
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connector")
            .field("id", &Value::from(self.declared.id.as_str()))
            .finish_non_exhaustive()
    }
}
