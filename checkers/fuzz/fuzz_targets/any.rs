//! What nobody says the format of: it is guessed, as `trueline check` does.
#![no_main]

#[path = "../oracle.rs"]
mod oracle;

use std::path::Path;

use checkers::history::Format;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    for name in ["history", "history.txt.zst"] {
        if let Some(format) = Format::guess(Path::new(name), bytes) {
            oracle::examine(bytes, format);
        }
    }
});
