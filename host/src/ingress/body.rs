//! Finding single values in a JSON body without building it up.
//!
//! A body may come from anybody, so reading it costs no more memory than the names of its open objects and the values that
//! were asked for, and whatever could be read in two ways is refused: a name that is there twice, and bytes that are not
//! UTF-8. `serde_json` stops at a depth of 128.

use std::{borrow::Cow, collections::HashSet, fmt};

use connector_protocol::json::keep_digits;
use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

/// What is wrong with a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum BodyFault {
    /// It is not UTF-8.
    NotUtf8,
    /// It is not JSON, or nested deeper than any provider's.
    NotJson,
    /// An object has two members of one name.
    DoubledName,
    /// It is JSON, but not an object, so that what the manifest says could not stand in it.
    NotAnObject,
}

impl fmt::Display for BodyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotUtf8 => "is not UTF-8",
            Self::NotJson => "is not JSON, or nested too deeply",
            Self::DoubledName => "has an object with two members of one name",
            Self::NotAnObject => "is not an object",
        })
    }
}

/// A JSON pointer, taken apart. Beyond RFC 6901, `*` is every item of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pointer(Vec<Step>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Every,
    Member(String),
}

impl Pointer {
    pub(super) fn new(text: &str) -> Self {
        let steps = text.split('/').skip(1).map(|step| match step {
            "*" => Step::Every,
            _ => Step::Member(step.replace("~1", "/").replace("~0", "~")),
        });
        Self(steps.collect())
    }
}

/// A value in a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Scalar {
    /// A string.
    Text(String),
    /// A whole number, in its digits.
    Integer(String),
    /// Anything else.
    Other,
}

impl Scalar {
    /// What it says, if it says something.
    pub(super) fn say(&self) -> Option<&str> {
        match self {
            Self::Text(text) | Self::Integer(text) => Some(text),
            Self::Other => None,
        }
    }
}

/// What a pointer leads to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// The values, in their order: with a `*` many, else at most one.
    pub(super) values: Vec<Scalar>,
    /// Whether an item of a list that the pointer goes through has none.
    pub(super) gap: bool,
}

/// What was found in a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Body {
    /// What each pointer leads to, in the order of the pointers.
    pub(super) found: Vec<Found>,
    /// What it is as a whole.
    pub(super) kind: Kind,
}

/// What a body is as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Object,
    List,
    Scalar,
}

/// Reads a whole body and finds what the pointers lead to.
pub(super) fn read(bytes: &[u8], pointers: &[Pointer]) -> Result<Body, BodyFault> {
    if std::str::from_utf8(bytes).is_err() {
        return Err(BodyFault::NotUtf8);
    }
    let bytes = keep_digits(bytes);
    let mut scan =
        Scan { pointers, found: vec![Found::default(); pointers.len()], kind: Kind::Scalar, doubled: false };
    let mut json = serde_json::Deserializer::from_slice(&bytes);
    let all =
        At { here: (0..pointers.len()).map(|pointer| (pointer, 0)).collect(), top: true, scan: &mut scan };
    let end = all.deserialize(&mut json).and_then(|()| json.end());
    match end {
        Ok(()) => Ok(Body { found: scan.found, kind: scan.kind }),
        Err(_) if scan.doubled => Err(BodyFault::DoubledName),
        Err(_) => Err(BodyFault::NotJson),
    }
}

struct Scan<'p> {
    pointers: &'p [Pointer],
    found: Vec<Found>,
    kind: Kind,
    doubled: bool,
}

/// One place in a body: which pointers lead here or through here, and how many of their steps are behind.
struct At<'s, 'p> {
    here: Vec<(usize, usize)>,
    top: bool,
    scan: &'s mut Scan<'p>,
}

impl At<'_, '_> {
    fn keep(&mut self, value: impl Fn() -> Scalar) {
        for (pointer, depth) in &self.here {
            if self.scan.pointers[*pointer].0.len() == *depth {
                self.scan.found[*pointer].values.push(value());
            }
        }
    }

    fn open(&mut self, kind: Kind) {
        if self.top {
            self.scan.kind = kind;
        }
        self.keep(|| Scalar::Other);
    }

    /// The pointers that lead on to this member or item.
    fn onward(&self, name: &str, list: bool) -> Vec<(usize, usize)> {
        let leads_on = |(pointer, depth): &(usize, usize)| match self.scan.pointers[*pointer].0.get(*depth) {
            Some(Step::Every) => list,
            Some(Step::Member(member)) => member == name,
            None => false,
        };
        self.here.iter().filter(|at| leads_on(at)).map(|(pointer, depth)| (*pointer, depth + 1)).collect()
    }

    /// Those of the pointers here that go on to every item, and how much each has found so far.
    fn to_every_item(&self) -> Vec<(usize, usize)> {
        self.here
            .iter()
            .filter(|(pointer, depth)| self.scan.pointers[*pointer].0.get(*depth) == Some(&Step::Every))
            .map(|(pointer, _)| (*pointer, self.scan.found[*pointer].values.len()))
            .collect()
    }
}

impl<'de> DeserializeSeed<'de> for At<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for At<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E: de::Error>(mut self, _: bool) -> Result<(), E> {
        self.keep(|| Scalar::Other);
        Ok(())
    }

    fn visit_i64<E: de::Error>(mut self, number: i64) -> Result<(), E> {
        self.keep(|| Scalar::Integer(number.to_string()));
        Ok(())
    }

    fn visit_u64<E: de::Error>(mut self, number: u64) -> Result<(), E> {
        self.keep(|| Scalar::Integer(number.to_string()));
        Ok(())
    }

    fn visit_f64<E: de::Error>(mut self, _: f64) -> Result<(), E> {
        self.keep(|| Scalar::Other);
        Ok(())
    }

    fn visit_str<E: de::Error>(mut self, text: &str) -> Result<(), E> {
        self.keep(|| Scalar::Text(text.to_owned()));
        Ok(())
    }

    fn visit_unit<E: de::Error>(mut self) -> Result<(), E> {
        self.keep(|| Scalar::Other);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<(), A::Error> {
        self.open(Kind::List);
        for index in 0_usize.. {
            let before = self.to_every_item();
            let here = match self.here.as_slice() {
                [] => Vec::new(),
                _ => self.onward(&index.to_string(), true),
            };
            let item = At { here, top: false, scan: &mut *self.scan };
            if items.next_element_seed(item)?.is_none() {
                break;
            }
            for (pointer, count) in before {
                let found = &mut self.scan.found[pointer];
                found.gap |= found.values.len() == count;
            }
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut members: A) -> Result<(), A::Error> {
        self.open(Kind::Object);
        let mut names: HashSet<Cow<'de, str>> = HashSet::new();
        while let Some(Name(name)) = members.next_key()? {
            let member = At { here: self.onward(&name, false), top: false, scan: &mut *self.scan };
            if !names.insert(name) {
                self.scan.doubled = true;
                return Err(de::Error::custom("a name that is there twice"));
            }
            members.next_value_seed(member)?;
        }
        Ok(())
    }
}

/// The name of a member, not copied unless it is written with escapes.
struct Name<'de>(Cow<'de, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Names;

        impl<'de> Visitor<'de> for Names {
            type Value = Name<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }

            fn visit_borrowed_str<E: de::Error>(self, name: &'de str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Borrowed(name)))
            }

            fn visit_str<E: de::Error>(self, name: &str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Owned(name.to_owned())))
            }
        }

        deserializer.deserialize_str(Names)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(body: &str, pointer: &str) -> Result<Found, BodyFault> {
        Ok(read(body.as_bytes(), &[Pointer::new(pointer)])?.found.remove(0))
    }

    #[test]
    fn pointers_lead_to_values() {
        let text = |text: &str| Scalar::Text(text.to_owned());
        let integer = |digits: &str| Scalar::Integer(digits.to_owned());
        for (body, pointer, values, gap) in [
            (r#"{"a":"x"}"#, "/a", vec![text("x")], false),
            (r#"{"a":"x"}"#, "", vec![Scalar::Other], false),
            (r#""x""#, "", vec![text("x")], false),
            (r#"{"a":{"b":["x","y"]}}"#, "/a/b/1", vec![text("y")], false),
            (r#"{"a":{"b":["x","y"]}}"#, "/a/b/2", vec![], false),
            (r#"{"a":{"b":["x","y"]}}"#, "/a/b/01", vec![], false),
            (r#"{"a":{"b":["x","y"]}}"#, "/a/b", vec![Scalar::Other], false),
            (r#"{"a/b":{"m~n":7}}"#, "/a~1b/m~0n", vec![integer("7")], false),
            (r#"{"":{"":"x"}}"#, "//", vec![text("x")], false),
            (r#"{"\u0061":"x"}"#, "/a", vec![text("x")], false),
            (r#"{"0":"x"}"#, "/0", vec![text("x")], false),
            (r#"{"a":-7}"#, "/a", vec![integer("-7")], false),
            (
                r#"{"a":123456789012345678901234567890}"#,
                "/a",
                vec![text("123456789012345678901234567890")],
                false,
            ),
            (r#"{"a":[1.5,true,null,[],{}]}"#, "/a/*", vec![Scalar::Other; 5], false),
            (r#"{"a":["x","y"]}"#, "/a/*", vec![text("x"), text("y")], false),
            (r#"{"a":[{"b":"x"},{"b":"y"}]}"#, "/a/*/b", vec![text("x"), text("y")], false),
            (r#"{"a":[{"b":"x"},{}]}"#, "/a/*/b", vec![text("x")], true),
            (r#"{"a":[{"c":"x"},{"b":"x"}]}"#, "/a/*/b", vec![text("x")], true),
            (r#"{"a":[{"b":"x"},"y"]}"#, "/a/*/b", vec![text("x")], true),
            (r#"{"a":[]}"#, "/a/*/b", vec![], false),
            (r#"{"a":{"*":{"b":"x"}}}"#, "/a/*/b", vec![], false),
            (r#"{"a":[["x"],[]]}"#, "/a/*/*", vec![text("x")], true),
            ("[]", "/0", vec![], false),
        ] {
            assert_eq!(find(body, pointer), Ok(Found { values, gap }), "{body} {pointer}");
        }
    }

    #[test]
    fn several_pointers_are_followed_at_once() {
        let pointers = ["/a", "/a/b", "/c/0", "/a"].map(Pointer::new);
        let body = read(br#"{"c":["y"],"a":{"b":"x"}}"#, &pointers).unwrap();
        let counts: Vec<usize> = body.found.iter().map(|found| found.values.len()).collect();
        assert_eq!((counts, body.kind), (vec![1, 1, 1, 1], Kind::Object));
        assert_eq!(read(b"[{}]", &[]).unwrap().kind, Kind::List);
        assert_eq!(read(b" 1 ", &[]).unwrap().kind, Kind::Scalar);
    }

    #[test]
    fn fault_11_what_is_not_sound_json_is_refused() {
        let deep = |depth: usize| [vec![b'['; depth], vec![b']'; depth]].concat();
        for (body, expected) in [
            (b"".to_vec(), BodyFault::NotJson),
            (b"   ".to_vec(), BodyFault::NotJson),
            (b"{\"a\":".to_vec(), BodyFault::NotJson),
            (b"{} {}".to_vec(), BodyFault::NotJson),
            (b"{'a':1}".to_vec(), BodyFault::NotJson),
            (b"{\"a\":1e400}".to_vec(), BodyFault::NotJson),
            (b"{\"a\":\"\\ud83d\"}".to_vec(), BodyFault::NotJson),
            (b"{\"a\":\"\n\"}".to_vec(), BodyFault::NotJson),
            (b"\xef\xbb\xbf{}".to_vec(), BodyFault::NotJson),
            (b"{\"a\":\"\xff\"}".to_vec(), BodyFault::NotUtf8),
            (b"{\"a\":NaN}".to_vec(), BodyFault::NotJson),
            (deep(10_000), BodyFault::NotJson),
            (vec![b'['; 200_000], BodyFault::NotJson),
        ] {
            let shown = String::from_utf8_lossy(&body[..body.len().min(40)]).into_owned();
            assert_eq!(read(&body, &[]), Err(expected), "{shown}");
        }
        assert!(read(&deep(127), &[]).is_ok());
    }

    #[test]
    fn fault_12_a_name_that_is_there_twice_is_refused_wherever_it_stands() {
        for body in
            [r#"{"a":1,"a":1}"#, r#"{"a":1,"\u0061":2}"#, r#"{"b":[{"a":1,"c":2,"a":3}]}"#, r#"{"":1,"":2}"#]
        {
            assert_eq!(find(body, "/a"), Err(BodyFault::DoubledName), "{body}");
        }
        assert!(find(r#"{"a":{"a":[{"a":1},{"a":2}]}}"#, "/a").is_ok());
    }

    #[test]
    fn a_wide_body_is_read_in_one_go() {
        let names: Vec<String> = (0..100_000).map(|at| format!("\"n{at}\":{at}")).collect();
        let body = format!("{{{}}}", names.join(","));
        let found = find(&body, "/n99999").unwrap();
        assert_eq!(found.values, [Scalar::Integer("99999".to_owned())]);
    }
}
