//! What tests of whole runs and hunts share.

use std::{fs, path::Path, process::Output};

/// Asserts the exit code, and that the output says these things.
#[track_caller]
pub fn ends_with(output: &Output, code: i32, words: &[&str]) {
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{text}");
    for word in words {
        assert!(text.contains(word), "{word:?} is not in: {text}");
    }
}

/// The processes that have the store's path in their command line: the harness and its nodes.
pub fn processes(store: &Path) -> Vec<String> {
    let store = store.to_str().unwrap();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Ok(command_line) = fs::read(entry.path().join("cmdline")) else { continue };
        let command_line = String::from_utf8_lossy(&command_line).replace('\0', " ");
        if command_line.contains(store) {
            found.push(command_line);
        }
    }
    found
}
