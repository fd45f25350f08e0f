//! What holds for every reader on every input; shared by the fuzz targets and the replay of their corpora
//! (`tests/formats_corpus.rs`).

use std::io::BufReader;

use checkers::history::{Format, History, Loaded, Operation, ReadOptions, read_with};

/// A history's operations, or the error in words, and what was said about the file.
type Outcome = Result<(Vec<Operation>, u64, Option<u64>), String>;

/// Reads in every way.
///
/// # Panics
/// When a reader breaks a promise (or panics itself).
pub fn examine(bytes: &[u8], format: Format) {
    for independent_keys in [false, true] {
        let options = |keep_complete_lines| ReadOptions { keep_complete_lines, independent_keys, ..Default::default() };
        let [strict, lenient] = [false, true].map(|keep| outcome(read_with(bytes, format, &options(keep))));
        if let Ok((operations, ..)) = &lenient {
            History::from_operations(operations.clone()).expect("what a reader makes is a history by all rules");
        }
        // A log's last line is left out where nothing says that it is whole.
        if strict.is_ok() && (format != Format::JepsenLog || bytes.ends_with(b"\n")) {
            assert_eq!(strict, lenient, "what is whole loses nothing by leniency");
        }
        let dripping = read_with(BufReader::with_capacity(3, bytes), format, &options(false));
        assert_eq!(outcome(dripping), strict, "how the source hands out its bytes does not matter");
        if format == Format::Jsonl && strict.is_ok() {
            let general = outcome(read_with(&spaced(bytes)[..], format, &options(false)));
            assert_eq!(general, strict, "lines as the writer writes them are read as any others");
        }
    }
}

fn outcome(result: Result<Loaded, checkers::history::HistoryError>) -> Outcome {
    result
        .map(|loaded| (loaded.history.into_operations(), loaded.nemesis_events, loaded.truncated))
        .map_err(|error| error.to_string())
}

/// The same history in lines that no writer writes: without checksums, and with a blank before the last brace.
fn spaced(bytes: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(bytes.len());
    for line in bytes.split_inclusive(|&byte| byte == b'\n') {
        let ended = line.strip_suffix(b"\n").map_or(line, |line| line.strip_suffix(b"\r").unwrap_or(line));
        let members = match ended.split_at_checked(ended.len().wrapping_sub(r#","crc":"00000000"}"#.len())) {
            Some((members, tail)) if tail.starts_with(br#","crc":""#) => Some(members),
            _ => ended.strip_suffix(b"}"),
        };
        match members {
            Some(members) => {
                text.extend_from_slice(members);
                text.extend_from_slice(b" }");
                text.extend_from_slice(&line[ended.len()..]);
            }
            None => text.extend_from_slice(line),
        }
    }
    text
}
