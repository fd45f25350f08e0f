#![no_main]

#[path = "../oracle.rs"]
mod oracle;

use checkers::history::Format;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| oracle::examine(bytes, Format::KvText));
