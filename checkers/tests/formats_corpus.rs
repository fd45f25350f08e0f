//! What fuzzing found worth keeping (`checkers/fuzz/corpus`), through every reader, as it stands and damaged.

#[path = "../fuzz/oracle.rs"]
mod oracle;

use std::fs;
use std::path::Path;

use checkers::history::Format;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;

/// The targets, with the format that each reads; `any` guesses.
const TARGETS: [(&str, Option<Format>); 5] = [
    ("jsonl", Some(Format::Jsonl)),
    ("jepsen_edn", Some(Format::JepsenEdn)),
    ("jepsen_log", Some(Format::JepsenLog)),
    ("kv_text", Some(Format::KvText)),
    ("any", None),
];

/// Damaged variants of each file.
const VARIANTS: usize = 100;

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}

fn examine(bytes: &[u8], format: Option<Format>) {
    if let Some(format) = format.or_else(|| Format::guess(Path::new("history"), bytes)) {
        oracle::examine(bytes, format);
    }
}

/// Letters that mean something to one of the readers.
const LETTERS: &[u8] = b"00-1.e+\"\\[]{}(),:;# \t\r\n\0\xc3<>'_^nulltruefalse";

/// A few bytes changed, added, taken out, or a piece of another file put in.
fn damaged(bytes: &[u8], other: &[u8], random: &mut Pcg64) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..random.random_range(1..3) {
        let at = random.random_range(0..=bytes.len());
        match random.random_range(0..5) {
            0 => bytes.insert(at, random.random()),
            4 => bytes.insert(at, *LETTERS.choose(random).expect("there are letters")),
            1 => drop(bytes.drain(at..(at + random.random_range(1..20)).min(bytes.len()))),
            2 => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << random.random_range(0..8);
                }
            }
            _ => {
                let from = random.random_range(0..=other.len());
                let piece = &other[from..(from + random.random_range(1..60)).min(other.len())];
                drop(bytes.splice(at..at, piece.iter().copied()));
            }
        }
    }
    bytes
}

#[test]
fn the_corpora_are_survived_as_they_stand_and_damaged() {
    let mut random = Pcg64::seed_from_u64(0x7121);
    for (target, format) in TARGETS {
        let files = corpus(target);
        assert!(!files.is_empty(), "the corpus of {target} is gone");
        for file in &files {
            // Other readers, too: nobody keeps a file from being named wrongly.
            for (_, format) in TARGETS {
                examine(file, format);
            }
            for _ in 0..VARIANTS {
                let other = files.choose(&mut random).expect("there are files");
                examine(&damaged(file, other, &mut random), format);
            }
        }
    }
}

#[test]
fn every_edit_of_one_letter_is_read_the_same_in_both_ways() {
    let lines = [
        r#"{"index":10,"time":20,"process":30,"type":"invoke","f":"write","key":"x","value":[1,-20,"a",null,true,[]]}"#,
        r#"{"process":3,"type":"invoke","f":"cas","value":[1,0],"reason":"b"}"#,
    ];
    for line in lines {
        for at in 0..=line.len() {
            for letter in LETTERS {
                let mut inserted = line.as_bytes().to_vec();
                inserted.insert(at, *letter);
                oracle::examine(&inserted, Format::Jsonl);
            }
            let mut shorter = line.as_bytes().to_vec();
            if at < line.len() {
                shorter.remove(at);
            }
            oracle::examine(&shorter, Format::Jsonl);
        }
    }
}
