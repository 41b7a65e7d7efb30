//! Writes a page down: the template, its style sheet and its small script.

use aws_lc_rs::digest;
use base64::{Engine, engine::general_purpose::STANDARD};
use minijinja::{Environment, context};
use serde::Serialize;

use super::{
    Page,
    view::{Control, Fields, Item, View, view},
};
use crate::forms::{model::Form, value::time_zones};

const TEMPLATE: &str = include_str!("form.html");
const STYLE: &str = include_str!("form.css");
const SCRIPT: &str = include_str!("form.js");

/// A line of the summary of what is wrong.
#[derive(Serialize)]
struct Wrong {
    /// The id of the field's control, if it is on the page.
    id: Option<String>,
    label: String,
    message: String,
}

pub(super) fn render(form: &Form, page: &Page<'_>) -> Result<String, minijinja::Error> {
    let (fields, rules) = view(form, page.value, page.problems, page.action.is_some());
    let mut wrong = Vec::new();
    collect(&fields, &mut wrong);
    let shown = wrong.len();
    if shown < page.problems.len() {
        // What is about nothing that is on the page still has to be told.
        let unseen = page
            .problems
            .iter()
            .filter(|problem| !wrong.iter().any(|wrong| wrong.message == problem.message));
        let unseen: Vec<Wrong> = unseen
            .map(|problem| Wrong {
                id: None,
                label: problem.path.trim_start_matches('/').replace('/', " "),
                message: problem.message.clone(),
            })
            .collect();
        wrong.extend(unseen);
    }
    let style = format!("{STYLE}{}\n", rules.join("\n"));
    let mut environment = Environment::new();
    environment.add_template("form.html", TEMPLATE)?;
    environment.get_template("form.html")?.render(context! {
        title => &form.title,
        description => &form.description,
        fields => minijinja::value::Serde(&fields),
        wrong => minijinja::value::Serde(&wrong),
        zones => uses_zones(&fields).then(|| time_zones().to_vec()),
        action => page.action,
        file => page.file,
        command => page.command,
        style => minijinja::Value::from_safe_string(style.clone()),
        style_hash => hash(&style),
        script => minijinja::Value::from_safe_string(SCRIPT.to_owned()),
        script_hash => hash(SCRIPT),
    })
}

/// What a policy of content security knows an inline text by.
fn hash(text: &str) -> String {
    format!("sha256-{}", STANDARD.encode(digest::digest(&digest::SHA256, text.as_bytes())))
}

/// Goes through all fields of a page, in their order.
fn each<'a>(fields: &'a Fields, visit: &mut dyn FnMut(&'a View)) {
    for item in &fields.items {
        match item {
            Item::Field(view) => within(view, visit),
            Item::Pair { time, zone } => [time, zone].into_iter().for_each(|view| within(view, visit)),
            Item::Group(group) => group.fields.iter().for_each(|view| within(view, visit)),
        }
    }
    fields.variants.iter().for_each(|fields| each(fields, visit));
    fields.more.iter().for_each(|member| within(&member.value, visit));
}

fn within<'a>(view: &'a View, visit: &mut dyn FnMut(&'a View)) {
    visit(view);
    match &view.control {
        Control::Fields(fields) => each(fields, visit),
        Control::Rows { rows, spare } => rows.iter().chain(spare).for_each(|row| within(row, visit)),
        Control::Either { options, .. } => options.iter().for_each(|option| within(option, visit)),
        _ => {}
    }
}

fn collect(fields: &Fields, wrong: &mut Vec<Wrong>) {
    each(fields, &mut |view| {
        wrong.extend(view.problems.iter().map(|message| Wrong {
            id: Some(view.id.clone()),
            label: view.label.clone(),
            message: message.clone(),
        }));
    });
}

fn uses_zones(fields: &Fields) -> bool {
    let mut uses = false;
    each(fields, &mut |view| {
        uses |= matches!(&view.control, Control::Line(line) if line.zones || line.zone.is_some());
    });
    uses
}
