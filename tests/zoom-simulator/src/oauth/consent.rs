//! The page on which a sample user says yes or no, and the one that says why nobody is asked. Plain HTML: it works
//! without scripts, with a keyboard and with a screen reader, and a test can post its form without drawing it.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, X_FRAME_OPTIONS};
use axum::http::{HeaderValue, StatusCode};

use crate::directory::User;
use crate::exchange::{Answer, Parameters};

/// The parameters of the authorization request that the form carries along.
const CARRIED: [&str; 7] = [
    "response_type",
    "client_id",
    "redirect_uri",
    "state",
    "scope",
    "code_challenge",
    "code_challenge_method",
];

const STYLE: &str = "body{font:1.1rem/1.5 system-ui,sans-serif;max-width:36rem;margin:3rem auto;padding:0 1rem;\
color:#1a1a1a;background:#fff}fieldset{border:1px solid #767676;border-radius:.4rem;margin:1.5rem 0}\
label{display:block;padding:.3rem 0}button{font:inherit;padding:.5rem 1.5rem;margin-right:1rem;border-radius:.4rem;\
border:2px solid #0b5cad;background:#fff;color:#0b5cad}button[value=allow]{background:#0b5cad;color:#fff}\
:focus-visible{outline:3px solid #b35900;outline-offset:2px}code{overflow-wrap:anywhere}";

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

fn document(status: StatusCode, title: &str, main: &str) -> Answer {
    let page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{title}</title>\n\
         <style>{STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{title}</h1>\n{main}</main>\n</body>\n</html>\n"
    );
    // No `form-action`: browsers apply it to the redirect that follows the form, which leads to the client.
    Answer::html(status, page)
        .with_header(
            CONTENT_SECURITY_POLICY,
            HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"),
        )
        .with_header(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"))
        .with_header(CACHE_CONTROL, HeaderValue::from_static("no-store"))
}

/// Asks one of `users` to allow `scopes`.
pub(super) fn page<'a>(
    scopes: &[String],
    users: impl Iterator<Item = &'a Arc<User>>,
    parameters: &Parameters,
) -> Answer {
    let mut form = String::from(
        "<p>This is the Zoom simulator. An app asks to be connected to a sample account; no data of a real one is \
         involved.</p>\n<form method=\"post\" action=\"authorize\">\n",
    );
    // Writing to a string cannot fail.
    for name in CARRIED {
        if let Some(value) = parameters.get(name) {
            let _ = writeln!(form, "<input type=\"hidden\" name=\"{name}\" value=\"{}\">", escape(value));
        }
    }
    form.push_str("<fieldset>\n<legend>Connect as</legend>\n");
    for (index, user) in users.enumerate() {
        let checked = if index == 0 { " checked" } else { "" };
        let (name, email) = (escape(&user.display_name()), escape(user.email));
        let _ = writeln!(
            form,
            "<label><input type=\"radio\" name=\"user\" value=\"{}\"{checked} required> {name} ({email})</label>",
            user.id
        );
    }
    form.push_str("</fieldset>\n<h2>The app may then use</h2>\n<ul>\n");
    for scope in scopes {
        let _ = writeln!(form, "<li><code>{}</code></li>", escape(scope));
    }
    form.push_str(
        "</ul>\n<button type=\"submit\" name=\"decision\" value=\"allow\">Allow</button>\n\
         <button type=\"submit\" name=\"decision\" value=\"deny\">Deny</button>\n</form>\n",
    );
    document(StatusCode::OK, "Allow this app?", &form)
}

/// Tells the user, and not the client, that something is wrong.
pub(super) fn refusal_page(message: &str) -> Answer {
    let main = format!("<p role=\"alert\">{}</p>\n", escape(message));
    let mut answer = document(StatusCode::BAD_REQUEST, "This app cannot be connected", &main);
    answer.explanation = Some(message.to_owned());
    answer
}
