//! Going on with a list, as the manifest declares it. A cursor is text that only this module reads: the host carries it
//! from one page's answer to the next page's call.

use connector_protocol::{
    Error, ErrorKind, Result,
    manifest::PagingStyle,
    message::{HttpAnswer, HttpRequest},
};
use serde_json::Value;

/// Makes a request ask for the page that `cursor` names, or for the first one.
pub(crate) fn apply(style: &PagingStyle, cursor: Option<&str>, request: &mut HttpRequest) {
    match (style, cursor) {
        (PagingStyle::Token { parameter, .. } | PagingStyle::Cursor { parameter, .. }, Some(cursor)) => {
            set(request, parameter, cursor.to_owned());
        }
        (PagingStyle::Page { parameter, first, .. }, cursor) => {
            // Without a cursor, a page that the input asks for is kept.
            if cursor.is_some() || !request.query.iter().any(|(name, _)| name == parameter) {
                set(request, parameter, cursor.map_or_else(|| first.to_string(), str::to_owned));
            }
        }
        (PagingStyle::Link {}, Some(address)) => {
            // The address holds everything: the parameters of the first page are in it.
            request.path = escape_braces(address);
            request.params.clear();
            request.query.clear();
        }
        (_, None) => {}
    }
}

fn set(request: &mut HttpRequest, parameter: &str, value: String) {
    request.query.retain(|(name, _)| name != parameter);
    request.query.push((parameter.to_owned(), value));
}

/// Names the page after this answer; `None` at the end.
pub(crate) fn next(
    style: &PagingStyle,
    request: &HttpRequest,
    answer: &HttpAnswer,
    body: Option<&Value>,
) -> Result<Option<String>> {
    let list = |pointer: &str| body.and_then(|body| body.pointer(pointer)).and_then(Value::as_array);
    Ok(match style {
        PagingStyle::Token { at, .. } => body.and_then(|body| body.pointer(at)).and_then(text),
        PagingStyle::Cursor { list: items, at, more, .. } => {
            let ended = more.as_ref().is_some_and(|more| {
                body.and_then(|body| body.pointer(more)).and_then(Value::as_bool) != Some(true)
            });
            let last = list(items).and_then(|items| items.last());
            if ended { None } else { last.and_then(|item| item.pointer(at)).and_then(text) }
        }
        PagingStyle::Page { parameter, list: items, pages, .. } => {
            let number =
                request.query.iter().find(|(name, _)| name == parameter).map(|(_, value)| value.as_str());
            let Some(number) = number.and_then(|number| number.parse::<u64>().ok()) else {
                return Err(Error::invalid_input(format!("/{parameter}"), "must be the number of a page"));
            };
            let last = pages.as_ref().and_then(|pages| body?.pointer(pages)?.as_u64());
            let ended = match last {
                Some(last) => number >= last,
                None => list(items).is_none_or(Vec::is_empty),
            };
            if ended { None } else { number.checked_add(1).map(|next| next.to_string()) }
        }
        PagingStyle::Link {} => {
            match answer.headers.iter().filter(|(name, _)| name == "link").find_map(|(_, v)| next_link(v)) {
                Some(address) if !address.starts_with("https://") && !address.starts_with("http://") => {
                    return Err(Error::new(
                        ErrorKind::UnexpectedAnswer,
                        "the next page's `Link` is not a whole address",
                    ));
                }
                address => address,
            }
        }
    })
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()).filter(|text| !text.is_empty()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn escape_braces(address: &str) -> String {
    address.replace('{', "{{").replace('}', "}}")
}

/// The target of the link with `rel="next"` in a `Link` header (RFC 8288).
fn next_link(header: &str) -> Option<String> {
    let mut rest = header;
    while let Some(open) = rest.find('<') {
        let close = open + rest[open..].find('>')?;
        let target = &rest[open + 1..close];
        // The parameters end where the next link begins; commas may stand in quotes, an opening `<` does not follow one.
        let end = rest[close..]
            .find(",<")
            .or_else(|| rest[close..].find(", <"))
            .map_or(rest.len(), |end| close + end);
        let is_next = rest[close + 1..end]
            .split(';')
            .filter_map(|parameter| parameter.trim().split_once('='))
            .any(|(name, value)| {
                name.trim().eq_ignore_ascii_case("rel")
                    && value
                        .trim()
                        .trim_matches('"')
                        .split_ascii_whitespace()
                        .any(|rel| rel.eq_ignore_ascii_case("next"))
            });
        if is_next {
            return Some(target.to_owned());
        }
        rest = &rest[end..];
    }
    None
}

#[cfg(test)]
mod tests {
    use connector_protocol::{answers::AnswerClass, manifest::Paging};
    use serde_json::json;

    use super::*;

    fn answer(link: &str) -> HttpAnswer {
        let headers = vec![("link".to_owned(), link.to_owned())];
        HttpAnswer { status: 200, class: AnswerClass::Ok, headers, retry_at: None }
    }

    /// The queries of the requests for two pages, and what the second one's answer says of a third.
    fn two_pages(paging: &Paging, first: &Value, second: &Value) -> (String, String, Option<String>) {
        let query = |request: &HttpRequest| {
            request.query.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
        };
        let base = HttpRequest { query: vec![("size".into(), "2".into())], ..HttpRequest::default() };
        let mut one = base.clone();
        apply(&paging.style, None, &mut one);
        let cursor = next(&paging.style, &one, &answer(""), Some(first)).unwrap();
        let mut two = base;
        apply(&paging.style, cursor.as_deref(), &mut two);
        let third = next(&paging.style, &two, &answer(""), Some(second)).unwrap();
        (query(&one), query(&two), third)
    }

    #[test]
    fn every_style_asks_for_the_next_page_and_knows_the_end() {
        let expect = |one: &str, two: &str| (one.to_owned(), two.to_owned(), None);
        assert_eq!(
            two_pages(
                &Paging::token("/m", "next_page_token", "/next"),
                &json!({"next": "t1"}),
                &json!({"next": ""})
            ),
            expect("size=2", "size=2&next_page_token=t1")
        );
        assert_eq!(
            two_pages(&Paging::cursor("", "after", "/id"), &json!([{"id": 4}, {"id": 7}]), &json!([])),
            expect("size=2", "size=2&after=7")
        );
        assert_eq!(
            two_pages(&Paging::page("/list", "page", 1), &json!({"list": [1]}), &json!({"list": []})),
            expect("size=2&page=1", "size=2&page=2")
        );
    }

    #[test]
    fn the_next_link_is_found_among_others() {
        for (header, expected) in [
            (r#"<https://a/?page=2>; rel="next""#, Some("https://a/?page=2")),
            (
                r#"<https://a/?p=1>; rel="prev", <https://a/?p=3,4>; title="a, b"; rel="last next""#,
                Some("https://a/?p=3,4"),
            ),
            (r#"<https://a/1>;rel=first,<https://a/2>;rel=next"#, Some("https://a/2")),
            (r#"<https://a/1>; rel="nextish""#, None),
            ("<unclosed", None),
            ("", None),
        ] {
            assert_eq!(next_link(header).as_deref(), expected, "{header}");
        }
        let style = &Paging::link("").style;
        assert!(next(style, &HttpRequest::default(), &answer("</relative>; rel=next"), None).is_err());
        let mut request = HttpRequest { path: "/x".into(), ..HttpRequest::default() };
        apply(style, Some("https://a/?q={x}"), &mut request);
        assert_eq!(request.path, "https://a/?q={{x}}");
    }
}
