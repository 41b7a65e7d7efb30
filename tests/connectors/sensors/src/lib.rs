//! Sensors that are asked for their readings.
//!
//! It exists to prove that the contract fits a provider unlike Zoom: an API key in the query string or a name and a
//! password, an address that depends on a parameter, pages with numbers, a no that comes with status 200, and a trigger
//! that polls.

use connector_api::{
    answers::{AnswerRule, ErrorMembers, Fact, FactAt, FactIs},
    auth::Auth,
    prelude::*,
};

choices! {
    /// Where the data is kept
    enum Region: &str {
        Europe = "eu" => "Europe",
        America = "us" => "America",
    }
}

/// An API key
#[derive(Serialize, Deserialize, JsonSchema)]
struct Key {
    /// Where your data is kept
    region: Region,
    /// The key, from your profile
    #[schemars(title = "API key", length(min = 1), extend("x-secret" = true))]
    key: String,
}

/// A service account
#[derive(Serialize, Deserialize, JsonSchema)]
struct Service {
    /// Where your data is kept
    region: Region,
    /// The account's name
    name: String,
    /// The account's password
    #[schemars(extend("x-secret" = true))]
    password: String,
}

fn connector() -> Connector {
    Connector::new("sensors", "Sensors", env!("CARGO_PKG_VERSION"))
        .description("Readings of sensors")
        .host("*.sensors.example.com")
        .base("api", ["https://{region}.sensors.example.com/v1"])
        .auth_with::<Key>(Auth::api_key("key", "API key").query("key", "{key}"))
        .auth_with::<Service>(Auth::basic("service", "Service account", "{name}", "{password}"))
        .error_members(ErrorMembers {
            code: Some("/error".to_owned()),
            message: Some("/text".to_owned()),
            problems: None,
        })
        // It answers 200 whatever happens, and says in the body whether it meant it.
        .answer_rule(says("/error", &["key_expired", "key_unknown"], AnswerClass::Expired))
        .answer_rule(says("/error", &["too_fast"], AnswerClass::RateLimited))
        .answer_rule(AnswerRule {
            status: vec![200],
            methods: Vec::new(),
            facts: vec![Fact { at: FactAt::Pointer("/ok".to_owned()), is: FactIs::In(vec![json!(false)]) }],
            class: AnswerClass::Refused,
            until: None,
        })
        .action::<ListSensors>()
        .trigger::<NewReading>()
}

fn says(pointer: &str, values: &[&str], class: AnswerClass) -> AnswerRule {
    let is = FactIs::In(values.iter().map(|value| json!(value)).collect());
    AnswerRule {
        status: vec![200],
        methods: Vec::new(),
        facts: vec![Fact { at: FactAt::Pointer(pointer.to_owned()), is }],
        class,
        until: None,
    }
}

struct ListSensors;

/// List the sensors
#[derive(Serialize, Deserialize, JsonSchema)]
struct Input {
    /// Only those in this room
    room: Option<String>,
}

/// The sensors
#[derive(Serialize, Deserialize, JsonSchema)]
struct Sensors {
    sensors: Vec<Sensor>,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Sensor {
    id: Id,
    room: String,
}

impl Action for ListSensors {
    const NAME: &'static str = "list_sensors";
    const TITLE: &'static str = "List Sensors";
    const EFFECT: Effect = Effect::Reads;

    type Input = Input;
    type Output = Sensors;

    fn paging() -> Option<Paging> {
        Some(Paging::page("/sensors", "page", 1))
    }

    async fn run(ctx: &Ctx, input: Input) -> Result<Sensors> {
        ctx.log(Level::Debug, "looking for sensors");
        ctx.get("/sensors").queries(&input).paged().send().await
    }
}

struct NewReading;

/// A sensor was read
#[derive(Serialize, Deserialize, JsonSchema)]
struct Reading {
    id: u64,
    sensor: Id,
    celsius: f64,
    at: jiff::Timestamp,
}

#[derive(Deserialize)]
struct Readings {
    readings: Vec<Reading>,
    more: bool,
}

#[derive(Default, Serialize, Deserialize)]
struct State {
    last: u64,
}

/// Which readings
#[derive(Serialize, Deserialize, JsonSchema)]
struct Watched {
    /// Of this sensor only
    #[serde(default)]
    sensor: Option<String>,
}

impl Trigger for NewReading {
    const NAME: &'static str = "new_reading";
    const TITLE: &'static str = "New Reading";
    const SOURCE: Source = Source::poll(60);

    type Params = Watched;
    type Event = Reading;

    async fn poll(ctx: &Ctx, poll: Poll<Watched>) -> Result<Polled<Reading>> {
        let mut state: State = poll.state()?.unwrap_or_default();
        let found: Readings =
            ctx.get("/readings").query("after", state.last).queries(&poll.params).send().await?;
        state.last = found.readings.iter().map(|reading| reading.id).max().unwrap_or(state.last);
        let emit = |reading: Reading| {
            let at = reading.at;
            Emit::new(reading.id.to_string(), reading).occurred_at(at)
        };
        let polled = Polled::new(found.readings.into_iter().map(emit).collect(), &state)?;
        Ok(if found.more { polled.more() } else { polled })
    }
}

connector_api::export_connector!(connector);
