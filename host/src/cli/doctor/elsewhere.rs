//! `jackfield doctor --server`: what a Jackfield elsewhere says of itself. Its files are looked at by the doctor of its own
//! machine; of this machine, nothing is.

use jackfield::{
    Result,
    api::{
        ConnectorLine, Health,
        accounts::{ConnectionShown, IntegrationShown, List},
    },
    store::Project,
};

use super::{
    super::{Everywhere, engine::Engine},
    ANSWER, Findings, accounts, say_server,
};

pub(super) fn look(everywhere: &Everywhere, findings: &mut Findings) -> Result<()> {
    let mut engine = Engine::find(everywhere)?;
    match engine.get_within::<Health>("/v1/health", ANSWER) {
        Ok(Some(health)) => {
            say_server(&health, "let its operator bring it to the same version", findings);
        }
        Ok(None) => {
            let text = format!("the server did not say within {} s how it is", ANSWER.as_secs());
            findings.wrong(
                "server",
                text,
                "try again later; what its own machine says of it: jackfield doctor",
            );
            return Ok(());
        }
        Err(error) => {
            findings.bad("server", &error);
            return Ok(());
        }
    }
    match engine.connectors() {
        Ok(lines) => connectors(&lines, findings),
        Err(error) => findings.bad("connectors", &error),
    }
    if let Err(error) = integrations(&mut engine, everywhere, findings) {
        findings.bad("integration", &error);
    }
    Ok(())
}

fn connectors(lines: &[ConnectorLine], findings: &mut Findings) {
    const CHECK: &str = "connector";
    if lines.is_empty() {
        findings.warn(CHECK, "there is none", "let its operator add one: jackfield connector add FILE");
    }
    for line in lines {
        let name = match &line.version {
            Some(version) => format!("{} {version}", line.name),
            None => line.name.clone(),
        };
        if line.state == "ready" {
            findings.ok(CHECK, format!("{name} can be used"));
            continue;
        }
        let reason = line.reason.as_deref().unwrap_or(&line.state);
        let hint = line.hint.as_deref().unwrap_or("look at it on its own machine: jackfield doctor");
        findings.wrong(CHECK, format!("{name}: {reason}"), hint);
    }
}

fn integrations(engine: &mut Engine, everywhere: &Everywhere, findings: &mut Findings) -> Result<()> {
    let projects = engine.get::<List<Project>>("/v1/projects")?.items;
    let meant = |project: &&Project| everywhere.project.as_ref().is_none_or(|meant| *meant == project.id);
    let several = projects.len() > 1;
    let projects: Vec<&Project> = projects.iter().filter(meant).collect();
    let mut set_up = Vec::new();
    for project in &projects {
        engine.means(&project.id);
        let found = engine.get::<List<IntegrationShown>>("/v1/integrations")?.items;
        set_up.extend(found.into_iter().map(|one| (*project, one.connector)));
    }
    if set_up.is_empty() {
        return Ok(());
    }
    accounts::look(engine, &set_up, several, findings);
    for project in projects {
        engine.means(&project.id);
        let mut found = |state: jackfield::store::ConnectionState| {
            let path = format!("/v1/connections?state={}", state.as_str());
            let found = engine.list::<ConnectionShown>(&path, accounts::MOST as usize)?;
            Ok(found.into_iter().map(|connection| connection.connector).collect())
        };
        accounts::waiting(project, several, &mut found, findings)?;
    }
    Ok(())
}
