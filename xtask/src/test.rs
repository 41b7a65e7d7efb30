//! `cargo xtask test`: builds what the tests need, runs all of them, and says which could not run.

use std::{
    fs,
    path::{Path, PathBuf},
};

use clap::Args;

use crate::{
    Result, newer,
    run::{cargo, root, run, target},
    tested,
};

/// Build what the tests need and run all of them
#[derive(Args)]
pub(crate) struct Test {
    /// Fail if a test is skipped because a tool is missing
    #[arg(long)]
    require_tools: bool,
    /// Passed on to `cargo test`: a filter, or `-- --nocapture`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<String>,
}

impl Test {
    pub(crate) fn run(self) -> Result {
        run(cargo().args(["build", "--workspace"]))?;
        build_frozen()?;
        newer::build()?;
        let skips = target().join("skipped-tests.txt");
        let _ = fs::remove_file(&skips);
        let mut more = vec![("JACKFIELD_SKIPS", skips.clone())];
        if self.require_tools {
            more.push(("JACKFIELD_REQUIRE_TOOLS", "1".into()));
        }
        // The material that not everybody has lies beside the project, if it is there.
        if std::env::var_os("JACKFIELD_SHARED").is_none() {
            more.push(("JACKFIELD_SHARED", shared()));
        }
        let result = if self.args.is_empty() {
            tested::run_all(&more)
        } else {
            run(cargo().args(["test", "--workspace"]).args(&self.args).envs(more))
        };
        let skipped = fs::read_to_string(&skips).unwrap_or_default();
        if !skipped.is_empty() {
            println!("\nSKIPPED TESTS - these were not run:");
            skipped.lines().for_each(|line| println!("  {line}"));
        }
        result
    }
}

/// Draws the pictures again, which a test compares with what there is.
pub(crate) fn pictures() -> Result {
    run(cargo().args(["build", "--workspace"]))?;
    run(cargo()
        .args(["test", "--package", "jackfield-tests", "--test", "pictures"])
        .env("JACKFIELD_UPDATE", "1"))
}

fn shared() -> PathBuf {
    root().join("../shared")
}

/// Builds the connector that is kept beside the frozen ABI, with its own lock file.
pub(crate) fn build_frozen() -> Result {
    build_at(&root().join("tests/abi-v1"))
}

/// With one target directory for all of them: what they depend on is compiled once.
pub(crate) fn build_at(workspace: &Path) -> Result {
    run(cargo()
        .args(["build", "--locked", "--manifest-path"])
        .arg(workspace.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(target().join("abi-v1")))
}
