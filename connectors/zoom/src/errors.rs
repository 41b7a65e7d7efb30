//! What Zoom's refusals mean, and what to do next.
//!
//! Zoom's messages come in the language of the account (observed), so everything here goes by the code and by what was
//! asked; the message is only shown.

use connector_api::{Refusal, prelude::*};

/// Makes an error of a refusal.
pub(crate) fn explain(refusal: &Refusal) -> Error {
    let said =
        refusal.message().map_or(String::new(), |message| format!(": {}", message.trim_end_matches('.')));
    match (refusal.class(), refusal.code()) {
        (AnswerClass::MissingScope, _) => missing_scope(refusal),
        (AnswerClass::Expired, _) => refusal
            .error("Zoom does not accept the access token: it has expired, was revoked, or a newer one took its place"),
        (AnswerClass::RateLimited, _) => rate_limited(refusal),
        (AnswerClass::NotFound, Some("1001")) => {
            refusal.error(format!("Zoom knows no such user or meeting{said}")).hint("check the id, and whose account it is in")
        }
        (AnswerClass::NotFound, Some("1010")) => {
            refusal.error(format!("the user is not in this Zoom account{said}")).hint("use an id or e-mail address of the account")
        }
        (AnswerClass::NotFound, Some("3001")) => refusal
            .error(format!("Zoom has no such meeting{said}"))
            .hint("it may have been deleted, or have expired: list the meetings to see those that are there"),
        (AnswerClass::NotFound, _) => refusal
            .error(format!("Zoom has nothing there{said}"))
            .hint("if requests are sent elsewhere by [integrations.zoom.endpoints], see whether the address is right"),
        (AnswerClass::Invalid, _) => invalid(refusal, &said),
        (_, Some("200")) => {
            refusal.error("Zoom does this for paid users only").hint("give the host a Licensed seat, or use another host")
        }
        (_, Some("3000")) => refusal
            .error(format!("Zoom does not give access to this meeting{said}"))
            .hint("a webinar's id, a blocked e-mail domain, or `schedule_for` with an instant meeting are the usual reasons"),
        (_, Some("3002")) => refusal.error("the meeting is in progress").hint("end it first"),
        (_, Some("3003")) => refusal.error("you are not the host of this meeting").hint("use the host's connection"),
        (_, Some("3018")) => refusal
            .error("a Personal Meeting ID cannot be deleted")
            .hint("schedule meetings with `settings.use_pmi` off if they are to be deleted"),
        (_, Some("3037")) => refusal.error("a Personal Audio Conference cannot be deleted"),
        (_, Some("3043")) => refusal
            .error("the meeting has as many registrants as it may have")
            .hint("remove a registrant, or raise the capacity of the host's plan"),
        (_, Some("3161")) => refusal
            .error("this user may not host or schedule meetings")
            .hint("ask the Zoom account's owner to allow it, or use another host"),
        _ => refusal.default_error(),
    }
}

/// Code 4711, status 400. The message lists scopes between brackets, in every language, and only of the app's own family.
fn missing_scope(refusal: &Refusal) -> Error {
    let listed =
        refusal.message().and_then(|message| message.rsplit_once('[')?.1.split_once(']')).map(|(list, _)| {
            list.split(',').map(|scope| scope.trim().to_owned()).filter(|scope| !scope.is_empty()).collect()
        });
    let mut error = refusal.error("");
    if let Some(listed) = listed.filter(|list: &Vec<String>| !list.is_empty()) {
        error.scopes = listed;
    }
    let (first, more) = match error.scopes.split_first() {
        Some((first, more)) => (first.clone(), more.to_vec()),
        None => return refusal.default_error(),
    };
    let or = if more.is_empty() { String::new() } else { format!(" (or {})", more.join(", ")) };
    error.message = format!("Zoom refused: the connection lacks the scope {first}{or}");
    error.hint(format!("add {first} to your Zoom app, then connect again"))
}

/// Code 300: a value is wrong, or the meeting does not allow what was asked.
fn invalid(refusal: &Refusal, said: &str) -> Error {
    let error = refusal.error(format!("Zoom does not accept the input{said}"));
    if !error.problems.is_empty() {
        return error;
    }
    match refusal.operation() {
        // Zoom says so of registrants who are gone.
        "delete_meeting_registrant" => {
            let mut error = refusal.error(format!("Zoom has no such registrant in this meeting{said}"));
            error.kind = ErrorKind::NotFound;
            error.hint("list the registrants of the meeting; one who registered for an occurrence needs its id")
        }
        "add_meeting_registrant" | "get_meeting_registrants" => error.hint(
            "registration must be on for the meeting (`settings.approval_type` 0 or 1), and ids of registrants and \
             occurrences must be of this meeting",
        ),
        _ => error,
    }
}

fn rate_limited(refusal: &Refusal) -> Error {
    let Some(at) = refusal.retry_at() else {
        return refusal
            .error("Zoom refused: too many calls in a short time")
            .hint("run it again in a moment");
    };
    let until = format!("until {}", at.strftime("%Y-%m-%d %H:%M UTC"));
    // Only the limits of the account name their type.
    let of_one = refusal.header("x-ratelimit-type").is_none();
    let daily = of_one && refusal.body().is_some() && at.as_second() % 86_400 == 0;
    match refusal.operation() {
        "add_meeting_registrant" if daily => refusal
            .error(format!("Zoom lets a registrant be added three times a day; this one has to wait {until}"))
            .hint("other registrants can still be added"),
        "create_meeting" | "update_meeting" if daily => refusal
            .error(format!(
                "Zoom lets a host create and update 100 meetings a day; this one has to wait {until}"
            ))
            .hint("another host of the account can go on"),
        _ => refusal.error(format!("Zoom refused: too many calls, {until}")).hint("run it again after that"),
    }
}
