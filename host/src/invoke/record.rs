//! What is kept of an invocation, so that it can be looked up: without secrets, and no larger than it helps. How it is kept is
//! the [`store`](crate::store)'s business.

use std::{collections::BTreeSet, time::Duration};

use connector_protocol::{Error, Result, manifest::Effect};
use jiff::Timestamp;
use serde_json::{Value, value::RawValue};

use super::{Caller, Run};
use crate::{
    redact::{Redactor, mask_marked, mask_named},
    store::{Invocation, Later, State},
};

/// How large an output may be that is kept, in bytes.
const MAX_OUTPUT: usize = 64 * 1024;

/// How large an input may be that is kept, in bytes.
const MAX_INPUT: usize = 256 * 1024;

/// What is known of an invocation from its beginning.
pub(super) struct Record(Invocation);

impl Record {
    pub(super) fn new(caller: &Caller, run: &Run<'_>) -> Self {
        let head = &run.known.library.head;
        Self(Invocation {
            id: run.id.to_string(),
            action: run.known.name(),
            state: State::Running,
            begun: Timestamp::now(),
            ms: None,
            attempts: 0,
            effect: run.known.action().effect,
            version: head.version.clone(),
            manifest: head.digest.clone(),
            project: caller.project.clone(),
            actor: caller.actor.clone(),
            source: caller.source.as_str().to_owned(),
            user: caller.user.clone(),
            parent: caller.parent.as_ref().map(ToString::to_string),
            idempotency_key: caller.idempotency_key.clone(),
            input: Some(kept(input(run), MAX_INPUT)),
            output: None,
            error: None,
            exchange: Vec::new(),
        })
    }

    /// The record of something that is under way.
    pub(super) fn begun(&self) -> Invocation {
        self.0.clone()
    }

    /// The record of something that is over. What takes time - masking, writing down what was exchanged - is done by
    /// whoever writes it.
    pub(super) fn ended(
        self,
        run: &Run<'_>,
        took: Duration,
        result: &Result<(Box<RawValue>, bool)>,
    ) -> Later {
        let mut record = self.0;
        let failed = result.as_ref().err().cloned();
        let output = result.as_ref().ok().map(|(output, _)| output.clone());
        let known = run.known.clone();
        let (redactor, exchanges) = (run.redactor.clone(), run.flight.exchanges());
        // Of a list that was read without trouble, nobody asks what its pages looked like.
        let bodies = failed.is_some() || run.known.action().effect != Effect::Reads;
        record.attempts = run.flight.attempts() as u64;
        record.ms = Some(u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
        record.state = if failed.is_some() { State::Failed } else { State::Done };
        Box::new(move || {
            let side = known.output().ok();
            let sides = known.input().ok().into_iter().chain(side);
            let names: BTreeSet<String> = sides.flat_map(|side| side.secrets.iter().cloned()).collect();
            record.exchange =
                exchanges.iter().map(|exchange| exchange.show(&redactor, &names, bodies)).collect();
            record.error = failed.map(|error: Error| redactor.error(error));
            record.output = output.and_then(|output| {
                if output.get().len() > MAX_OUTPUT {
                    return Some(left_out(output.get().len()));
                }
                let mut output = serde_json::from_str(output.get()).ok()?;
                if let Some(side) = side {
                    mask_marked(&side.schema, &mut output);
                }
                Some(masked(&redactor, &output, &names))
            });
            record
        })
    }
}

/// What the action was given, without what is marked as a secret or looks like one.
fn input(run: &Run<'_>) -> Value {
    let mut input = run.invocation.input.clone();
    match run.known.input() {
        Ok(side) => {
            mask_marked(&side.schema, &mut input);
            masked(&run.redactor, &input, &side.secrets)
        }
        Err(_) => masked(&run.redactor, &input, &BTreeSet::new()),
    }
}

/// A value without secrets: known ones wherever they stand, and what looks like one, as in what was exchanged.
fn masked(redactor: &Redactor, value: &Value, names: &BTreeSet<String>) -> Value {
    let mut value = redactor.json(value);
    mask_named(&mut value, names);
    value
}

/// A value, unless it is too large.
fn kept(value: Value, most: usize) -> Value {
    let len = value.to_string().len();
    if len > most { left_out(len) } else { value }
}

/// What stands in the place of something that is too large.
fn left_out(len: usize) -> Value {
    Value::String(format!("({len} bytes)"))
}
