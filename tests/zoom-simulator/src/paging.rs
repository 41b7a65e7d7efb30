//! Lists in pages. A page token is opaque, lives 15 minutes and only continues the request it came from, as Zoom's
//! documentation has it.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::errors::{Invalid, ZoomError, ZoomResult};
use crate::exchange::Parameters;
use crate::random::Random;

/// How long a page token is good for.
const TOKEN_LIFE: SignedDuration = SignedDuration::from_mins(15);

/// The most records a page can hold.
const MOST: usize = 300;

/// The records of a page when nobody says.
const USUAL: usize = 30;

#[derive(Debug)]
struct Bookmark {
    /// The request it belongs to: who, what, and every parameter but the token itself.
    request: String,
    offset: usize,
    expires: Timestamp,
}

/// The page tokens that have been handed out.
#[derive(Debug, Default)]
pub(crate) struct Pages {
    bookmarks: HashMap<String, Bookmark>,
}

/// What a request says about the page it wants.
#[derive(Debug)]
pub(crate) struct Wanted {
    request: String,
    size: usize,
    number: usize,
    token: Option<String>,
}

/// The members that go with the records of a page.
#[derive(Debug, Serialize)]
pub(crate) struct PageInfo {
    page_count: usize,
    page_number: usize,
    page_size: usize,
    total_records: usize,
    /// Empty on the last page.
    next_page_token: String,
}

impl Wanted {
    /// `owner` tells apart callers whose tokens must not be mixed up.
    pub(crate) fn read(owner: &str, path: &str, query: &Parameters, problems: &mut Vec<Invalid>) -> Self {
        let mut number_of = |name: &str, low: usize, high: usize, usual: usize| match query.get(name) {
            None => usual,
            Some(text) => match text.parse() {
                Ok(number) if (low..=high).contains(&number) => number,
                _ => {
                    problems
                        .push(Invalid::new(name, format!("{text:?} is not a number from {low} to {high}")));
                    usual
                }
            },
        };
        let size = number_of("page_size", 1, MOST, USUAL);
        let number = number_of("page_number", 1, usize::MAX, 1);
        let mut others: Vec<&(String, String)> =
            query.pairs().iter().filter(|(name, _)| name != "next_page_token").collect();
        others.sort();
        let request = format!("{owner} {path} {others:?}");
        Self { request, size, number, token: query.get("next_page_token").map(str::to_owned) }
    }
}

impl Pages {
    /// Cuts the wanted page out of all records.
    pub(crate) fn cut<T>(
        &mut self,
        wanted: Wanted,
        all: Vec<T>,
        random: &mut Random,
        now: Timestamp,
    ) -> ZoomResult<(PageInfo, Vec<T>)> {
        self.bookmarks.retain(|_, bookmark| bookmark.expires > now);
        let Wanted { request, size, number, token } = wanted;
        let offset = match token {
            None => size.saturating_mul(number - 1),
            Some(token) => match self.bookmarks.get(&token) {
                None => {
                    return Err(ZoomError::bad_page_token("the token is unknown or older than 15 minutes"));
                }
                Some(bookmark) if bookmark.request != request => {
                    return Err(ZoomError::bad_page_token(
                        "the other parameters are not those of the first page",
                    ));
                }
                Some(bookmark) => bookmark.offset,
            },
        };
        let total_records = all.len();
        let records: Vec<T> = all.into_iter().skip(offset).take(size).collect();
        let next = offset.saturating_add(size);
        let next_page_token = if next < total_records {
            let token = random.secret("");
            let expires = now.saturating_add(TOKEN_LIFE).unwrap_or(Timestamp::MAX);
            self.bookmarks.insert(token.clone(), Bookmark { request, offset: next, expires });
            token
        } else {
            String::new()
        };
        let info = PageInfo {
            page_count: total_records.div_ceil(size),
            page_number: offset / size + 1,
            page_size: size,
            total_records,
            next_page_token,
        };
        Ok((info, records))
    }
}
