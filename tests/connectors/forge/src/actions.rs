//! Issues.

use connector_api::prelude::*;

/// A repository
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct Repository {
    /// Whose repository
    #[schemars(length(min = 1))]
    pub(crate) owner: String,
    /// Its name
    #[schemars(length(min = 1))]
    pub(crate) repo: String,
}

/// An issue
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct Issue {
    id: Id,
    /// Its number in the repository
    number: i64,
    title: String,
    /// `open` or `closed`
    state: String,
}

pub(crate) struct CreateIssue;

/// Open an issue
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct CreateInput {
    #[serde(flatten)]
    repository: Repository,
    #[serde(flatten)]
    issue: NewIssue,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct NewIssue {
    /// What it is about
    #[schemars(length(min = 1, max = 256))]
    title: String,
    /// The whole story, in Markdown
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<String>,
    /// Its labels
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    labels: Vec<String>,
}

impl Action for CreateIssue {
    const NAME: &'static str = "create_issue";
    const TITLE: &'static str = "Create Issue";
    const EFFECT: Effect = Effect::Creates;
    const SCOPES: &'static [ScopeSet] = &[ScopeSet::new(&["repo"])];
    const RATE: Option<&'static str> = Some("core");

    type Input = CreateInput;
    type Output = Issue;

    async fn run(ctx: &Ctx, input: CreateInput) -> Result<Issue> {
        ctx.post("/repos/{owner}/{repo}/issues")
            .path("owner", input.repository.owner)
            .path("repo", input.repository.repo)
            .json(&input.issue)
            .send()
            .await
    }
}

pub(crate) struct ListIssues;

/// List the issues of a repository
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct ListInput {
    #[serde(flatten)]
    repository: Repository,
    #[serde(flatten)]
    query: ListQuery,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct ListQuery {
    /// How many a page holds
    #[schemars(range(min = 1, max = 100), extend("default" = 30))]
    per_page: Option<u32>,
}

impl Action for ListIssues {
    const NAME: &'static str = "list_issues";
    const TITLE: &'static str = "List Issues";
    const EFFECT: Effect = Effect::Reads;
    const SCOPES: &'static [ScopeSet] = &[ScopeSet::new(&["repo"]), ScopeSet::new(&["issues:read"])];
    const RATE: Option<&'static str> = Some("core");

    type Input = ListInput;
    type Output = Vec<Issue>;

    fn paging() -> Option<Paging> {
        Some(Paging::link(""))
    }

    async fn run(ctx: &Ctx, input: ListInput) -> Result<Vec<Issue>> {
        ctx.get("/repos/{owner}/{repo}/issues")
            .path("owner", input.repository.owner)
            .path("repo", input.repository.repo)
            .queries(&input.query)
            .paged()
            .send()
            .await
    }
}

pub(crate) struct SearchIssues;

/// Find issues by words
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct SearchInput {
    /// The words
    #[schemars(length(min = 1))]
    words: String,
}

/// What was found
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct Found {
    items: Vec<Issue>,
}

impl Action for SearchIssues {
    const NAME: &'static str = "search_issues";
    const TITLE: &'static str = "Search Issues";
    const EFFECT: Effect = Effect::Reads;
    const RATE: Option<&'static str> = Some("search");

    type Input = SearchInput;
    type Output = Found;

    fn paging() -> Option<Paging> {
        Some(Paging::cursor("/items", "after", "/id"))
    }

    async fn run(ctx: &Ctx, input: SearchInput) -> Result<Found> {
        // A search by POST changes nothing, so it may be repeated.
        ctx.post("/search/issues").json(&json!({"words": input.words})).idempotent().paged().send().await
    }
}
