//! What a worker sends. What is done with them is in `jackfield::fuzzing`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| jackfield::fuzzing::frames(bytes));
