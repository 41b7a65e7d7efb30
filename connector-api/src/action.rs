//! What an author writes for one action.

use std::future::Future;

use connector_protocol::{Result, manifest};
use schemars::JsonSchema;
use serde::{Serialize, de::DeserializeOwned};

pub use connector_protocol::manifest::{Effect, Paging};

use crate::Ctx;

/// A named operation.
///
/// Everything about it stands in one file, once. The doc comment of the input is the action's description, the doc
/// comments of its fields are the form's help, its constraints are what the host checks before anything is sent.
///
/// ```
/// use connector_api::prelude::*;
///
/// pub struct CreateTask;
///
/// /// Add a task to a list
/// #[derive(Serialize, Deserialize, JsonSchema)]
/// pub struct Input {
///     /// The list it goes to
///     list_id: Id,
///     #[serde(flatten)]
///     task: NewTask,
/// }
///
/// #[derive(Serialize, Deserialize, JsonSchema)]
/// pub struct NewTask {
///     /// What is to be done
///     #[schemars(length(min = 1, max = 200), example = "Water the plants")]
///     title: String,
///     /// When it is due
///     #[serde(skip_serializing_if = "Option::is_none")]
///     due: Option<jiff::Timestamp>,
/// }
///
/// #[derive(Serialize, Deserialize, JsonSchema)]
/// pub struct Task {
///     id: Id,
///     title: String,
/// }
///
/// impl Action for CreateTask {
///     const NAME: &'static str = "create_task";
///     const TITLE: &'static str = "Create Task";
///     const EFFECT: Effect = Effect::Creates;
///     const SCOPES: &'static [ScopeSet] = &[ScopeSet::new(&["tasks.write"])];
///
///     type Input = Input;
///     type Output = Task;
///
///     async fn run(ctx: &Ctx, input: Input) -> Result<Task> {
///         ctx.post("/lists/{list_id}/tasks").path("list_id", input.list_id).json(&input.task).send().await
///     }
/// }
/// # assert_eq!(CreateTask::NAME, "create_task");
/// ```
pub trait Action: 'static {
    /// The name, as in `zoom.create_meeting`.
    const NAME: &'static str;
    /// The name people see.
    const TITLE: &'static str;
    /// What it does to the provider's data. Whether the host may repeat a request follows from this.
    const EFFECT: Effect;
    /// The sets of scopes of which any one will do; empty if it needs none.
    const SCOPES: &'static [ScopeSet] = &[];
    /// The rate class of its requests; see [`Connector::rate`](crate::Connector::rate).
    const RATE: Option<&'static str> = None;
    /// The provider's page about it.
    const DOCS: Option<&'static str> = None;

    /// What it takes: a struct.
    type Input: DeserializeOwned + JsonSchema + Send;
    /// What it gives.
    type Output: Serialize + JsonSchema + Send;

    /// How its list goes on, if it answers a part of a list. Mark the request that is to be repeated for every page with
    /// [`paged`](crate::Request::paged); the host asks for the pages.
    #[must_use]
    fn paging() -> Option<Paging> {
        None
    }

    /// Does it.
    fn run(ctx: &Ctx, input: Self::Input) -> impl Future<Output = Result<Self::Output>> + Send;
}

/// One sufficient set of scopes. Where a list of these stands, any one of them will do.
///
/// ```
/// use connector_api::ScopeSet;
/// const SCOPES: &[ScopeSet] =
///     &[ScopeSet::new(&["meeting:write:meeting"]).of("granular"), ScopeSet::new(&["meeting:write"]).of("classic")];
/// # assert_eq!(SCOPES.len(), 2);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScopeSet {
    all: &'static [&'static str],
    family: Option<&'static str>,
}

impl ScopeSet {
    /// All of these together.
    #[must_use]
    pub const fn new(all: &'static [&'static str]) -> Self {
        Self { all, family: None }
    }

    /// Of this family, for a provider with several naming schemes; see
    /// [`Connector::scope_family`](crate::Connector::scope_family).
    #[must_use]
    pub const fn of(mut self, family: &'static str) -> Self {
        self.family = Some(family);
        self
    }

    /// The set as the manifest has it.
    pub(crate) fn declare(&self) -> manifest::Scopes {
        manifest::Scopes {
            family: self.family.map(str::to_owned),
            all: self.all.iter().map(|scope| (*scope).to_owned()).collect(),
        }
    }
}
