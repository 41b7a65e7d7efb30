//! The corpus of the fuzz targets, replayed: what once made a reader fall does so no more, without a fuzzer and without the
//! compiler that one needs. What is in the corpus by name is made here, and what is there by number was found.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the message")]

use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use connector_abi::{MANIFEST_SECTION, PROBE_SECTION, probe};
use jackfield::{Manifest, fuzzing, plugins};
use serde_json::{Value, json};

/// A debug build on a busy machine takes its time; what has no end takes more.
const LONGEST: Duration = Duration::from_secs(10);

/// What the corpus may grow to: it is read by people who clone this, and by each run of the tests.
const MOST_FILES: usize = 199;
const MOST_BYTES: usize = 64 * 1024;

fn corpus(target: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz/corpus").join(target)
}

fn replay(target: &str, body: fn(&[u8])) {
    let directory = corpus(target);
    let entries = fs::read_dir(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{}: there is nothing to replay", directory.display());
    assert!(files.len() <= MOST_FILES, "{}: has {} files", directory.display(), files.len());
    let mut failed = Vec::new();
    for file in files {
        let bytes = fs::read(&file).unwrap();
        assert!(bytes.len() <= MOST_BYTES, "{}: has {} bytes", file.display(), bytes.len());
        let begun = Instant::now();
        // A thread with the stack that those of the host have, and a name: if it overflows, that is all that is told.
        let thread = thread::Builder::new().name(file.display().to_string()).spawn(move || body(&bytes));
        if thread.unwrap().join().is_err() {
            failed.push(file.display().to_string());
        } else if begun.elapsed() > LONGEST {
            failed.push(format!("{}: takes {:?}", file.display(), begun.elapsed()));
        }
    }
    assert!(failed.is_empty(), "these do not go well:\n  {}", failed.join("\n  "));
}

#[test]
fn sections() {
    replay("sections", fuzzing::sections);
}

#[test]
fn manifest() {
    replay("manifest", fuzzing::manifest);
}

#[test]
fn frames() {
    replay("frames", fuzzing::frames);
}

/// What the corpora start from is what is made below. `JACKFIELD_UPDATE=1` writes it down again.
#[test]
fn what_is_there_by_name_is_current() {
    let all = [("sections", section_seeds()), ("manifest", manifest_seeds()), ("frames", frame_seeds())];
    for (target, seeds) in all {
        for (name, bytes) in seeds {
            let file = corpus(target).join(name);
            if std::env::var_os("JACKFIELD_UPDATE").is_some() {
                fs::create_dir_all(corpus(target)).unwrap();
                fs::write(&file, &bytes).unwrap();
            }
            let there = fs::read(&file).unwrap_or_default();
            assert!(there == bytes, "{}: run it again with JACKFIELD_UPDATE=1", file.display());
        }
    }
}

/// The seeds would be of no use if all of them were refused at the first byte.
#[test]
fn what_should_be_accepted_is_accepted() {
    let head = plugins::inspect(&section_seeds()["library"]).unwrap();
    assert_eq!((head.id.as_str(), head.needed), ("frozen", vec!["libc.so.6".to_owned()]));
    for (name, bytes) in manifest_seeds() {
        let read = Manifest::read(&bytes);
        assert_eq!(read.is_err(), name.starts_with("broken-"), "{name}: {read:?}");
    }
}

// Libraries: what a linker would write, with nothing in it but what is read.

/// A part of a file: where it is mapped is where it lies.
struct Elf {
    bytes: Vec<u8>,
    sections: Vec<(&'static str, u32, usize, usize)>,
}

const DYNAMIC: u32 = 6;
const PROGBITS: u32 = 1;
const STRTAB: u32 = 3;

impl Elf {
    /// Room for the header and four program headers.
    fn new() -> Self {
        Self { bytes: vec![0; 64 + 4 * 56], sections: vec![("", 0, 0, 0)] }
    }

    fn section(&mut self, name: &'static str, kind: u32, bytes: &[u8]) -> usize {
        let at = self.bytes.len().next_multiple_of(16);
        self.bytes.resize(at, 0);
        self.bytes.extend_from_slice(bytes);
        self.sections.push((name, kind, at, bytes.len()));
        at
    }

    fn write(&mut self, at: usize, numbers: &[(u64, usize)]) {
        let bytes: Vec<u8> =
            numbers.iter().flat_map(|(number, len)| number.to_le_bytes()[..*len].to_vec()).collect();
        self.bytes[at..at + bytes.len()].copy_from_slice(&bytes);
    }

    /// Section headers at the end, then what is in front of everything.
    fn done(mut self, dynamic: (usize, usize)) -> Vec<u8> {
        let names: Vec<&str> = self.sections.iter().map(|section| section.0).chain([".shstrtab"]).collect();
        let table = names.join("\0") + "\0";
        self.section(".shstrtab", STRTAB, table.as_bytes());
        let mapped = self.bytes.len() as u64;
        let at = self.bytes.len().next_multiple_of(16);
        let sections = std::mem::take(&mut self.sections);
        self.bytes.resize(at + sections.len() * 64, 0);
        let mut name = 0;
        for (index, (text, kind, offset, len)) in sections.iter().enumerate() {
            let (offset, len) = (*offset as u64, *len as u64);
            let fields = [(name, 4), ((*kind).into(), 4), (2, 8), (offset, 8), (offset, 8), (len, 8)];
            self.write(at + index * 64, &fields);
            name += text.len() as u64 + 1;
        }
        let machine = if cfg!(target_arch = "aarch64") { 183 } else { 62 };
        self.bytes[..8].copy_from_slice(b"\x7fELF\x02\x01\x01\0");
        let count = sections.len() as u64;
        let header = [
            (3, 2),
            (machine, 2),
            (1, 4),
            (0, 8),
            (64, 8),
            (at as u64, 8),
            (0, 4),
            (64, 2),
            (56, 2),
            (3, 2),
            (64, 2),
            (count, 2),
            (count - 1, 2),
        ];
        self.write(16, &header);
        let (offset, len) = (dynamic.0 as u64, dynamic.1 as u64);
        for (index, (kind, flags, offset, len)) in
            [(1, 4, 0, mapped), (2, 6, offset, len), (0x6474_e551, 6, 0, 0)].into_iter().enumerate()
        {
            let fields =
                [(kind, 4), (flags, 4), (offset, 8), (offset, 8), (offset, 8), (len, 8), (len, 8), (8, 8)];
            self.write(64 + index * 56, &fields);
        }
        self.bytes
    }
}

/// A library with these two sections, and these entries in its dynamic segment beside the table of strings.
fn library(probe: &[u8], manifest: &[u8], strings: &str, entries: &[(u64, u64)]) -> Vec<u8> {
    let mut elf = Elf::new();
    elf.section(PROBE_SECTION, PROGBITS, probe);
    elf.section(MANIFEST_SECTION, PROGBITS, manifest);
    let strings = elf.section(".dynstr", STRTAB, strings.as_bytes()) as u64;
    let entries = [&[(5, strings)], entries, &[(0, 0)]].concat();
    let entries: Vec<u8> =
        entries.iter().flat_map(|(tag, value)| [tag.to_le_bytes(), value.to_le_bytes()].concat()).collect();
    let at = elf.section(".dynamic", DYNAMIC, &entries);
    elf.done((at, entries.len()))
}

type Seeds = BTreeMap<&'static str, Vec<u8>>;

fn section_seeds() -> Seeds {
    let manifest = include_bytes!("../../tests/abi-v1/connector/manifest.json");
    let names = "\0libc.so.6\0libevil.so\0/tmp\0";
    let with = |probe: [u8; probe::LEN], entries: &[(u64, u64)]| library(&probe, manifest, names, entries);
    let good = probe::bytes(true, "0.1.0");
    let whole = with(good, &[(1, 1)]);
    let mut newer = good;
    newer[8] = 2;
    Seeds::from([
        ("library", whole.clone()),
        ("needs-another", with(good, &[(1, 1), (1, 11)])),
        ("run-path", with(good, &[(1, 1), (29, 22)])),
        ("auditor", with(good, &[(0x6fff_fefc, 22)])),
        ("filter", with(good, &[(0x7fff_ffff, 11)])),
        ("panic-abort", with(probe::bytes(false, ""), &[])),
        ("newer-abi", with(newer, &[])),
        ("no-manifest", library(&good, b"", names, &[])),
        ("cut-short", whole[..whole.len() / 2].to_vec()),
        ("not-a-library", b"#!/bin/sh\nexit 0\n".to_vec()),
    ])
}

// Manifests: those that there are, cut down, and some that are wrong.

/// One of ours with a few of its actions, and of the definitions those that they need.
fn cut(text: &str, actions: &[&str]) -> Value {
    let mut manifest: Manifest = serde_json::from_str(text).unwrap();
    manifest.actions.retain(|action| actions.contains(&action.name.as_str()));
    manifest.triggers.truncate(1);
    // A guide that names events of triggers that are gone would be refused.
    manifest.setup = None;
    let mut needed = serde_json::Map::new();
    let schemas = manifest.actions.iter().flat_map(|action| [&action.input, &action.output]);
    let schemas =
        schemas.chain(manifest.triggers.iter().flat_map(|trigger| [&trigger.parameters, &trigger.event]));
    for schema in schemas.chain(manifest.auth.iter().map(|auth| &auth.parameters)) {
        if let Some(Value::Object(defs)) = manifest.standalone(schema).get("$defs") {
            needed.extend(defs.clone());
        }
    }
    manifest.defs = needed;
    serde_json::to_value(manifest).unwrap()
}

/// The smallest manifest that is accepted, with this input and these definitions.
fn small(input: &Value, defs: &Value) -> Value {
    json!({
        "manifest_version": 1, "id": "acme", "title": "Acme", "version": "0.1.0", "description": "Things",
        "hosts": [], "auth": [{"name": "none", "title": "None", "kind": "none"}],
        "actions": [{
            "name": "make", "title": "Make", "description": "Makes", "effect": "creates",
            "input": input, "output": {},
        }],
        "$defs": defs,
    })
}

fn manifest_seeds() -> Seeds {
    let zoom = include_str!("../../manifests/zoom.json");
    let forge = include_str!("../../tests/connectors/forge/manifest.json");
    let sensors = include_str!("../../tests/connectors/sensors/manifest.json");
    let compact = |value: Value| serde_json::to_vec(&value).unwrap();
    let object = |properties: Value| json!({"type": "object", "properties": properties});
    let refers = |name: &str| json!({"$ref": format!("#/$defs/{name}"), "description": "It"});
    let mut nested = json!({"type": "string", "description": "It"});
    for _ in 0..30 {
        nested = json!({"type": "object", "description": "It", "properties": {"x": nested}});
    }
    let mut lacks = small(&json!({"type": "object"}), &json!({}));
    lacks["actions"][0].as_object_mut().unwrap().remove("title");
    let rules = json!({
        "type": "object",
        "required": ["kind"],
        "additionalProperties": false,
        "properties": {
            "kind": {"description": "Which", "oneOf": [{"const": 1, "title": "One"}, {"const": 2}]},
            "name": {"description": "Name", "type": ["string", "null"], "pattern": "^[a-z]{1,8}$", "maxLength": 8},
            "when": {"description": "When", "type": "string", "format": "date-time", "x-timezone-field": "zone"},
            "zone": {"description": "Zone", "type": "string", "x-ui": {"widget": "time-zone"}},
            "days": {"description": "Days", "type": "array", "uniqueItems": true, "items": {"enum": [1, 2, 3]}},
            "pin": {"description": "Pin", "type": "string", "x-secret": true, "examples": ["1234"]},
        },
        "dependentRequired": {"when": ["zone"]},
        "allOf": [{
            "if": {"properties": {"kind": {"const": 2}}, "required": ["kind"]},
            "then": {"required": ["name"]},
            "else": {"properties": {"days": false}},
        }],
        "anyOf": [{"required": ["name"]}, {"required": ["days"]}],
        "not": {"required": ["name", "pin"]},
    });
    Seeds::from([
        ("zoom-get-meeting", compact(cut(zoom, &["get_meeting"]))),
        ("zoom-create-meeting", compact(cut(zoom, &["create_meeting"]))),
        ("forge", compact(serde_json::from_str(forge).unwrap())),
        ("sensors", compact(serde_json::from_str(sensors).unwrap())),
        ("frozen", include_bytes!("../../tests/abi-v1/connector/manifest.json").to_vec()),
        ("small", compact(small(&json!({"type": "object"}), &json!({})))),
        ("rules", compact(small(&rules, &json!({})))),
        (
            "broken-circle",
            compact(small(&object(json!({"a": refers("A")})), &json!({"A": refers("B"), "B": refers("A")}))),
        ),
        ("list-of-itself", {
            let defs = json!({"A": {"type": "array", "items": refers("A")}});
            compact(small(&object(json!({"a": refers("A")})), &defs))
        }),
        // Found by reading: each of them once had no end, or none in our days.
        ("broken-one-of-itself-or-text", {
            let defs = json!({"A": {"oneOf": [refers("A"), {"type": "string"}]}});
            compact(small(&object(json!({"a": refers("A")})), &defs))
        }),
        ("broken-twice-itself", {
            let defs = json!({"A": {"type": "object", "allOf": [refers("A"), refers("A")]}});
            compact(small(&json!({"type": "object", "allOf": [refers("A"), refers("A")]}), &defs))
        }),
        ("broken-variants-of-itself", {
            let defs = json!({"A": {"type": "object", "oneOf": vec![refers("A"); 16]}});
            compact(small(&json!({"type": "object", "oneOf": vec![refers("A"); 16]}), &defs))
        }),
        ("many-of-itself", {
            let fields: serde_json::Map<String, Value> =
                (0..250).map(|i| (format!("f{i}"), refers("A"))).collect();
            let all = json!({"type": "object", "properties": fields});
            compact(small(&object(json!({"a": refers("A")})), &json!({"A": all})))
        }),
        ("broken-nested", compact(small(&object(json!({"a": nested})), &json!({})))),
        ("broken-lacks-title", compact(lacks)),
        ("broken-leads-nowhere", compact(small(&object(json!({"a": refers("A")})), &json!({})))),
        ("broken-newer", br#"{"manifest_version": 2, "id": "acme"}"#.to_vec()),
        ("broken-cut", forge.as_bytes()[..forge.len() / 2].to_vec()),
    ])
}

// Frames: as they were recorded, and as nobody should send them.

const CALL: u8 = 1;
const ANSWER: u8 = 2;
const ASK: u8 = 6;
const LOG: u8 = 10;
const READY: u8 = 11;
const CREDIT: u8 = 13;
const MORE: u8 = 0;
const WHOLE: u8 = 1;
const GIVEN_UP: u8 = 2;

fn frame(kind: u8, then: u8, id: u64, payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).unwrap().to_le_bytes();
    [&[kind, then, 0, 0], &len[..], &id.to_le_bytes(), payload].concat()
}

fn frame_seeds() -> Seeds {
    // What a worker sends that is started and runs one action.
    let head = br#"{"status":200,"headers":{}}"#;
    let message = [&(head.len() as u32).to_le_bytes(), &head[..], b"body"].concat();
    let session = [
        frame(READY, WHOLE, 0, br#"{"manifest_version":1,"id":"acme"}"#),
        frame(ASK, WHOLE, 1, br#"{"verb":"http"}"#),
        frame(CREDIT, WHOLE, 1, &[CALL, 0, 0, 1, 0]),
        frame(LOG, WHOLE, 0, b"a line"),
        frame(ANSWER, MORE, 1, &message),
        frame(ASK, MORE, 2, b"half a question"),
        frame(ANSWER, WHOLE, 1, b", and the rest"),
        frame(ASK, GIVEN_UP, 2, b""),
    ]
    .concat();
    let sent = |cuts: &[u8], times: u8, frames: &[u8]| {
        [&[u8::try_from(cuts.len()).unwrap()], cuts, &[times], frames].concat()
    };
    let many: Vec<u8> = (0..1100).flat_map(|id| frame(ASK, MORE, id, b"x")).collect();
    Seeds::from([
        ("session", sent(&[], 0, &session)),
        ("session-by-bytes", sent(&[1], 0, &session)),
        ("session-cut", sent(&[3, 16, 7, 200], 0, &session)),
        ("session-again", sent(&[100, 17], 0xf5, &session)),
        ("too-many", sent(&[255], 0, &many)),
        ("too-long", sent(&[], 0xfb, &frame(ANSWER, MORE, 1, &[b'x'; 10_000]))),
        ("chunk-of-nothing", sent(&[], 0, &frame(ASK, MORE, 1, b""))),
        ("credit-for-nothing", sent(&[], 0, &frame(CREDIT, WHOLE, 1, &[99, 0, 0, 0, 1]))),
        ("credit-that-is-none", sent(&[2], 0, &frame(CREDIT, WHOLE, 1, b"1"))),
        ("no-frame", sent(&[5], 0, &[0; 32])),
        ("no-end", sent(&[], 0, &session[..session.len() - 20])),
    ])
}
