//! Forms made from schemas.
//!
//! The journey of a form: [`build`] turns a schema of a manifest into a [`Form`], a typed [`model`](mod@model) that says
//! what to ask, of which kind, with which help and under which [conditions](Condition). Its faces - [text to
//! read](fn@describe), [questions](mod@ask), an HTML [`page`](mod@page), the model as JSON - know the model and
//! nothing else: no schema, no connector. What a page sends back becomes a value again in [`submitted`](mod@submitted).
//!
//! Whether a value is right is the schema's to say, not the form's. A face that wants to know is given a function that
//! checks, and puts each problem at its field.

pub mod ask;
mod build;
mod condition;
mod describe;
pub mod model;
pub mod page;
pub mod submitted;
mod value;

pub use self::{
    build::build,
    condition::Condition,
    describe::describe,
    model::{Choice, Field, Form, Kind, Limit, Object, Rule, Section, Variant, Variants},
};
