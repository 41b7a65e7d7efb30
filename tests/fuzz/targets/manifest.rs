//! A manifest, and what a host makes of one that it has accepted. What is done with them is in `jackfield::fuzzing`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| jackfield::fuzzing::manifest(bytes));
