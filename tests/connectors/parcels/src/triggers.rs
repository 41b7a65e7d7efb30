//! What happens to parcels.

use connector_api::prelude::*;

pub(crate) struct ParcelMoved;

/// A parcel has come somewhere
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct Moved {
    parcel: Id,
    /// Where it is
    state: String,
}

#[derive(Deserialize)]
struct Sent {
    event: SentEvent,
    proof: SentProof,
}

#[derive(Deserialize)]
struct SentEvent {
    parcel: Id,
    state: String,
    owner: Id,
}

#[derive(Deserialize)]
struct SentProof {
    token: String,
}

impl Trigger for ParcelMoved {
    const NAME: &'static str = "parcel_moved";
    const TITLE: &'static str = "Parcel Moved";
    const SOURCE: Source = Source::app_webhook(&["moved"]);

    type Params = NoParams;
    type Event = Moved;

    fn on_delivery(delivery: &Delivery) -> Result<Vec<Emit<Moved>>> {
        let Sent { event, proof } = delivery.json()?;
        let owner = event.owner.to_string();
        let moved = Moved { parcel: event.parcel, state: event.state };
        Ok(vec![Emit::new(proof.token, moved).owner(owner)])
    }
}

pub(crate) struct ParcelDelivered;

/// A parcel was delivered
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct Delivered {
    parcel: Id,
}

/// What is kept of a registered hook.
#[derive(Serialize, Deserialize)]
struct Registered {
    hook: Id,
}

/// A hook as the provider tells of it. It tells the secret where it has made one.
#[derive(Deserialize)]
struct Told {
    id: Id,
    secret: Option<String>,
    until: jiff::Timestamp,
}

impl Told {
    fn registration(self) -> Result<Registration> {
        let registration = Registration::new(&Registered { hook: self.id })?.expires_at(self.until);
        Ok(match self.secret {
            Some(secret) => registration.secret(secret),
            None => registration,
        })
    }
}

impl Trigger for ParcelDelivered {
    const NAME: &'static str = "parcel_delivered";
    const TITLE: &'static str = "Parcel Delivered";
    const SOURCE: Source = Source::registered_webhook(&["delivered"]).hook("deliveries");

    type Params = NoParams;
    type Event = Delivered;

    fn on_delivery(delivery: &Delivery) -> Result<Vec<Emit<Delivered>>> {
        let delivered: Delivered = delivery.json()?;
        Ok(vec![Emit::new(delivered.parcel.to_string(), delivered)])
    }

    async fn register(ctx: &Ctx, hook: NewHook<NoParams>) -> Result<Registration> {
        let told: Told = ctx.post("/hooks").json(&json!({"url": hook.url})).send().await?;
        told.registration()
    }

    async fn renew(ctx: &Ctx, hook: Hook<NoParams>) -> Result<Registration> {
        let registered: Registered = hook.state()?;
        let told: Told = ctx.put("/hooks/{hook}").path("hook", registered.hook).send().await?;
        told.registration()
    }

    async fn unregister(ctx: &Ctx, hook: Hook<NoParams>) -> Result<()> {
        let registered: Registered = hook.state()?;
        let gone = ctx.delete("/hooks/{hook}").path("hook", registered.hook).send_empty().await;
        match gone {
            Err(error) if error.kind == ErrorKind::NotFound => Ok(()),
            result => result,
        }
    }
}
