//! A library's bytes, as they are found in the plugins directory. What is done with them is in `jackfield::fuzzing`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| jackfield::fuzzing::sections(bytes));
