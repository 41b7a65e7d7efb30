//! Commits, by webhooks that are registered for each subscription. One push brings several.

use connector_api::prelude::*;

use crate::actions::Repository;

pub(crate) struct NewCommit;

/// A commit was pushed
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct Commit {
    /// Its hash
    id: Id,
    /// Its message
    message: String,
    /// The repository, as owner/name
    repository: String,
    /// How many lines were added; known once the event is complete
    #[serde(skip_serializing_if = "Option::is_none")]
    additions: Option<i64>,
}

#[derive(Deserialize)]
struct Push {
    repository: PushedTo,
    sender: Sender,
    commits: Vec<PushedCommit>,
}

#[derive(Deserialize)]
struct PushedTo {
    full_name: String,
}

#[derive(Deserialize)]
struct Sender {
    id: Id,
}

#[derive(Deserialize)]
struct PushedCommit {
    id: Id,
    message: String,
    timestamp: jiff::Timestamp,
}

/// What is kept of a registered hook.
#[derive(Serialize, Deserialize)]
struct Registered {
    hook: Id,
}

#[derive(Deserialize)]
struct CreatedHook {
    id: Id,
}

#[derive(Deserialize)]
struct Details {
    stats: Stats,
}

#[derive(Deserialize)]
struct Stats {
    additions: i64,
}

impl Trigger for NewCommit {
    const NAME: &'static str = "new_commit";
    const TITLE: &'static str = "New Commit";
    const SOURCE: Source = Source::registered_webhook(&["push"]);
    const SCOPES: &'static [ScopeSet] = &[ScopeSet::new(&["repo", "admin:repo_hook"])];

    type Params = Repository;
    type Event = Commit;

    fn on_delivery(delivery: &Delivery) -> Result<Vec<Emit<Commit>>> {
        let push: Push = delivery.json()?;
        let repository = push.repository.full_name;
        let sender = push.sender.id.to_string();
        let emit = |commit: PushedCommit| {
            let (key, at) = (format!("{repository}/{}", commit.id), commit.timestamp);
            let event = Commit {
                id: commit.id,
                message: commit.message,
                repository: repository.clone(),
                additions: None,
            };
            Emit::new(key, event)
                .resource(format!("repository:{repository}"))
                .actor(&sender)
                .occurred_at(at)
                .enrich()
        };
        Ok(push.commits.into_iter().map(emit).collect())
    }

    async fn enrich(ctx: &Ctx, mut emit: Emit<Commit>) -> Result<Emit<Commit>> {
        let (owner, repo) = emit.event.repository.split_once('/').unwrap_or_default();
        let details: Details = ctx
            .get("/repos/{owner}/{repo}/commits/{id}")
            .path("owner", owner)
            .path("repo", repo)
            .path("id", &emit.event.id)
            .send()
            .await?;
        emit.event.additions = Some(details.stats.additions);
        Ok(emit)
    }

    async fn register(ctx: &Ctx, hook: NewHook<Repository>) -> Result<Registration> {
        let body = json!({"events": ["push"], "config": {"url": hook.url, "secret": hook.secret, "content_type": "json"}});
        let created: CreatedHook = ctx
            .post("/repos/{owner}/{repo}/hooks")
            .path("owner", &hook.params.owner)
            .path("repo", &hook.params.repo)
            .json(&body)
            .send()
            .await?;
        Registration::new(&Registered { hook: created.id })
    }

    async fn unregister(ctx: &Ctx, hook: Hook<Repository>) -> Result<()> {
        let registered: Registered = hook.state()?;
        let gone = ctx
            .delete("/repos/{owner}/{repo}/hooks/{hook}")
            .path("owner", &hook.params.owner)
            .path("repo", &hook.params.repo)
            .path("hook", &registered.hook)
            .send_empty()
            .await;
        match gone {
            Err(error) if error.kind == ErrorKind::NotFound => Ok(()),
            result => result,
        }
    }
}
