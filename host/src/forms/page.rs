//! The form as a page: complete, usable without script, and by keyboard and screen reader as by mouse.
//!
//! [`view`] says what stands where on the page, down to the name and the text of every control; the template only writes it
//! down. So that what a page sends back can be understood, the name of a control is the JSON pointer of its value, a `#` in it
//! written `~2`. Steps that begin with `#` are the page's own: `#which` says which variant, `#0` is the first one; `#zone` is
//! the time zone of a point in time; `#m0` is a member whose name somebody chose, its `#name` and its `#value`; `#empty` and
//! `#null` are the boxes that empty and clear; `#json` is a value that no control can show, `#text` a text that is the value as
//! it stands, `#rest` the members that no field knows. [`submitted`](super::submitted) reads them.
//!
//! It knows the model and nothing of who sends the page to whom, nor of what becomes of what it sends.

mod style;
mod template;
mod view;

use connector_protocol::Problem;
use serde_json::Value;

pub(super) use self::view::step;
pub use self::view::{Control, Fields, Group, Item, Line, Member, Pick, View, view};
use super::Form;

/// What a page is to show beside the form itself.
#[derive(Debug, Clone, Default)]
pub struct Page<'a> {
    /// What is filled in already. Secrets in it are not shown.
    pub value: Option<&'a Value>,
    /// What is wrong with it.
    pub problems: &'a [Problem],
    /// Where the page sends what was filled in, by POST. Without an address it offers to save it as a file,
    /// and asks for no secrets.
    pub action: Option<&'a str>,
    /// The name of that file.
    pub file: &'a str,
    /// The command that takes the file, shown beside the button.
    pub command: &'a str,
}

/// The page, as HTML.
///
/// # Errors
///
/// Only if the template itself is at fault.
pub fn html(form: &Form, page: &Page<'_>) -> Result<String, minijinja::Error> {
    template::render(form, page)
}
