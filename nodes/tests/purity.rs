//! The protocol cores and the machine are pure: time, randomness, files, sockets and logs come in and go out as data.

use std::path::{Path, PathBuf};

/// What a pure module must not name.
const FORBIDDEN: [&str; 14] = [
    "tokio",
    "axum",
    "rustix",
    "tracing",
    "Instant",
    "SystemTime",
    "std::fs",
    "std::net",
    "std::thread",
    "std::env",
    "std::process",
    "std::io",
    "rand::rng",
    "thread_rng",
];

/// Iteration order of these differs from run to run, so that a seed would not decide a run.
const UNORDERED: [&str; 2] = ["HashMap", "HashSet"];

fn sources(path: &Path, found: &mut Vec<PathBuf>) {
    if path.is_dir() {
        for entry in std::fs::read_dir(path).expect("a readable folder") {
            sources(&entry.expect("an entry").path(), found);
        }
    } else if path.extension().is_some_and(|e| e == "rs") {
        found.push(path.to_owned());
    }
}

/// The lines of code, without comments, that name something forbidden.
fn offences(text: &str, words: &[&str]) -> Vec<String> {
    let code = text.lines().map(|line| line.split("//").next().unwrap_or_default());
    code.filter(|line| words.iter().any(|word| line.contains(word))).map(str::to_owned).collect()
}

#[test]
fn cores_name_no_clock_file_socket_or_runtime() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    for part in ["protocol", "protocol.rs", "machine", "machine.rs", "mutants.rs"] {
        sources(&src.join(part), &mut found);
    }
    assert!(found.len() > 10, "the sources were found: {found:?}");
    for file in found {
        let text = std::fs::read_to_string(&file).expect("a source file");
        let words: Vec<_> = FORBIDDEN.into_iter().chain(UNORDERED).collect();
        let offences = offences(&text, &words);
        assert!(offences.is_empty(), "{} is not pure: {offences:?}", file.display());
    }
}

#[test]
fn an_impure_line_would_be_found() {
    let impure = "use std::time::{Duration, Instant};\n// std::fs in a comment is fine\nlet x = 1;";
    assert_eq!(offences(impure, &FORBIDDEN).len(), 1);
    assert_eq!(offences("use std::fs;", &FORBIDDEN).len(), 1);
    assert_eq!(offences("let seen = HashMap::new();", &UNORDERED).len(), 1);
}
