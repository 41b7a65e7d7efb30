//! Patterns of paths: `*` is anything within a segment, `**` anything at all.

/// Whether `path` has the form of `pattern`.
pub(crate) fn matches(pattern: &str, path: &str) -> bool {
    matches_bytes(pattern.as_bytes(), path.as_bytes())
}

fn matches_bytes(pattern: &[u8], path: &[u8]) -> bool {
    match pattern {
        [] => path.is_empty(),
        [b'*', b'*', rest @ ..] => (0..=path.len()).any(|skip| matches_bytes(rest, &path[skip..])),
        [b'*', rest @ ..] => {
            let segment = path.iter().position(|byte| *byte == b'/').unwrap_or(path.len());
            (0..=segment).any(|skip| matches_bytes(rest, &path[skip..]))
        }
        [first, rest @ ..] => {
            path.split_first().is_some_and(|(byte, path)| byte == first && matches_bytes(rest, path))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns() {
        let cases = [
            ("/users/*/meetings", "/users/me/meetings", true),
            ("/users/*/meetings", "/users/a/b/meetings", false),
            ("/meetings/*", "/meetings/123", true),
            ("/meetings/*", "/meetings/123/registrants", false),
            ("/meetings/**", "/meetings/123/registrants", true),
            ("**", "/anything/at/all", true),
            ("**/meetings", "/v2/users/me/meetings", true),
            ("/meetings/9*", "/meetings/91", true),
            ("/meetings/9*", "/meetings/81", false),
            ("/oauth/token", "/oauth/token", true),
            ("/oauth/token", "/oauth/tokens", false),
            ("", "/", false),
        ];
        for (pattern, path, expected) in cases {
            assert_eq!(matches(pattern, path), expected, "{pattern} {path}");
        }
    }
}
