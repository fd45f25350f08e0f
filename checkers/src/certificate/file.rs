//! Certificates on disk: one JSON object, described in `docs/certificates.md`.
//!
//! ```text
//!   {"trueline_certificate":1,"verdict":"invalid","model":"register","initial":null,
//!    "history":{"operations":812,"crc32c":"0a1b2c3d"},
//!    "core":{"key":"x","cut":null,"operations":[17,40,41],"minimal":true}}
//! ```
//!
//! It trusts no input: sizes are bounded, members that it does not know are refused, and what it says of a history is only checked by
//! [`verify`](crate::verify).

use std::io::{Read, Write};

use serde::{Deserialize, Serialize};

use super::{Certificate, Core, KeyOrder};
use crate::history::{Action, Completion, History, OpIndex, Value};
use crate::model::{ModelKind, ModelSpec};

/// The version of the format that is written, and the only one that is read.
pub const CERTIFICATE_VERSION: u32 = 1;

/// The longest certificate that is read, bytes. One of a hundred million operations is shorter.
pub const CERTIFICATE_BYTES_MAX: u64 = 1 << 30;

/// A certificate with what it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFile {
    /// What the history was judged against.
    pub spec: ModelSpec,
    /// Which history.
    pub history: HistoryDigest,
    /// The proof.
    pub certificate: Certificate,
}

/// What tells histories apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistoryDigest {
    /// How many operations it has.
    pub operations: u64,
    /// A CRC-32C over all of them. It finds mix-ups; it is no protection against somebody who wants to deceive, and needs to be none:
    /// a certificate proves what it proves of any history that passes verification.
    pub crc32c: u32,
}

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// It could not be read or written.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// It is no certificate of this version.
    #[error("it is no certificate: {0}")]
    Malformed(String),
}

fn malformed<T>(what: impl Into<String>) -> Result<T, CertificateError> {
    Err(CertificateError::Malformed(what.into()))
}

/// The file as it is written; `V` and `L` are owned or borrowed.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct OnDisk<V, K, O> {
    trueline_certificate: u32,
    verdict: Proves,
    model: ModelKind,
    initial: V,
    history: DigestOnDisk,
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    keys: Option<Vec<K>>,
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    core: Option<CoreOnDisk<V, O>>,
}

fn none<T>() -> Option<T> {
    None
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Proves {
    Valid,
    Invalid,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DigestOnDisk {
    operations: u64,
    crc32c: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct OrderOnDisk<V, O> {
    key: V,
    order: O,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CoreOnDisk<V, O> {
    key: V,
    cut: Option<u64>,
    operations: O,
    minimal: bool,
}

/// Writes places as bare numbers without a copy.
struct Places<'a>(&'a [OpIndex]);

impl Serialize for Places<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|index| index.0))
    }
}

fn places(numbers: Vec<u32>) -> Vec<OpIndex> {
    numbers.into_iter().map(OpIndex).collect()
}

impl CertificateFile {
    /// The certificate of a verdict on `history`.
    #[must_use]
    pub fn new(history: &History, spec: &ModelSpec, certificate: Certificate) -> Self {
        Self { spec: spec.clone(), history: HistoryDigest::of(history), certificate }
    }

    /// Writes it, in about seven bytes an operation.
    ///
    /// # Errors
    /// When `output` does not take it.
    pub fn write<'a>(&'a self, mut output: impl Write) -> Result<(), CertificateError> {
        let mut file = OnDisk {
            trueline_certificate: CERTIFICATE_VERSION,
            verdict: Proves::Valid,
            model: self.spec.model,
            initial: &self.spec.initial,
            history: DigestOnDisk {
                operations: self.history.operations,
                crc32c: format!("{:08x}", self.history.crc32c),
            },
            keys: None,
            core: None,
        };
        match &self.certificate {
            Certificate::Linearization(orders) => {
                let order = |order: &'a KeyOrder| OrderOnDisk { key: &order.key, order: Places(&order.order) };
                file.keys = Some(orders.iter().map(order).collect());
            }
            Certificate::Core(core) => {
                file.verdict = Proves::Invalid;
                let Core { key, cut, operations, minimal } = core;
                file.core = Some(CoreOnDisk { key, cut: *cut, operations: Places(operations), minimal: *minimal });
            }
        }
        serde_json::to_writer(&mut output, &file).map_err(std::io::Error::from)?;
        output.write_all(b"\n")?;
        Ok(output.flush()?)
    }

    /// Reads one. At most [`CERTIFICATE_BYTES_MAX`] are taken.
    ///
    /// # Errors
    /// When `input` cannot be read, or is no certificate of version [`CERTIFICATE_VERSION`].
    pub fn read(input: impl Read) -> Result<Self, CertificateError> {
        let mut bytes = Vec::new();
        input.take(CERTIFICATE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > CERTIFICATE_BYTES_MAX {
            return malformed(format!("it is longer than {CERTIFICATE_BYTES_MAX} bytes"));
        }
        // A later version may have members that this one does not know; it is to be told by its number.
        #[derive(Deserialize)]
        struct Version {
            trueline_certificate: u32,
        }
        let told = |error: serde_json::Error| CertificateError::Malformed(error.to_string());
        let Version { trueline_certificate: version } = serde_json::from_slice(&bytes).map_err(told)?;
        if version != CERTIFICATE_VERSION {
            return malformed(format!("its version is {version}, and this program knows {CERTIFICATE_VERSION}"));
        }
        let file: OnDisk<Value, OrderOnDisk<Value, Vec<u32>>, Vec<u32>> =
            serde_json::from_slice(&bytes).map_err(told)?;
        let certificate = match (file.verdict, file.keys, file.core) {
            (Proves::Valid, Some(keys), None) => {
                let order = |OrderOnDisk { key, order }| KeyOrder { key, order: places(order) };
                Certificate::Linearization(keys.into_iter().map(order).collect())
            }
            (Proves::Invalid, None, Some(CoreOnDisk { key, cut, operations, minimal })) => {
                Certificate::Core(Core { key, cut, operations: places(operations), minimal })
            }
            (Proves::Valid, ..) => return malformed("`valid` needs `keys` and no `core`"),
            (Proves::Invalid, ..) => return malformed("`invalid` needs `core` and no `keys`"),
        };
        let DigestOnDisk { operations, crc32c } = file.history;
        let is_digest = crc32c.len() == 8 && crc32c.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let crc32c = u32::from_str_radix(&crc32c, 16).ok().filter(|_| is_digest);
        let Some(crc32c) = crc32c else { return malformed("`crc32c` is not eight lower-case hexadecimal digits") };
        let spec = ModelSpec { model: file.model, initial: file.initial };
        Ok(Self { spec, history: HistoryDigest { operations, crc32c }, certificate })
    }
}

impl HistoryDigest {
    /// The digest of a history: a CRC-32C over a record of fixed size for each operation, in order. O(n).
    ///
    /// The record, with numbers in little-endian order: process, invocation and return (8 bytes each); a byte for the action and one
    /// for the completion; then the values' checksums (4 bytes each): key, argument, second argument, result. A value's checksum is the
    /// CRC-32C of its JSON without blanks; that of no value is 0.
    #[must_use]
    pub fn of(history: &History) -> Self {
        let checksums: Vec<u32> =
            history.values().iter().map(|value| crc32c::crc32c(value_text(value).as_bytes())).collect();
        let mut crc = 0;
        for operation in history.operations() {
            let (action, first, second) = match operation.action {
                Action::Read => (0, None, None),
                Action::Write(new) => (1, Some(new), None),
                Action::Cas { old, new } => (2, Some(old), Some(new)),
                Action::Append(new) => (3, Some(new), None),
                Action::Delete => (4, None, None),
                Action::Add(new) => (5, Some(new), None),
                Action::Enqueue(new) => (6, Some(new), None),
                Action::Dequeue => (7, None, None),
                Action::Acquire(owner) => (8, Some(owner), None),
                Action::Release(owner) => (9, Some(owner), None),
                Action::Txn(parts) => (10, Some(parts), None),
            };
            let (completion, result) = match operation.completion {
                Completion::Ok(result) => (u8::from(result.is_some()), result),
                Completion::Fail => (2, None),
                Completion::Mismatch { observed } => (3 + u8::from(observed.is_some()), observed),
                Completion::Info => (5, None),
            };
            let mut record = [0; 42];
            record[..8].copy_from_slice(&operation.process.0.to_le_bytes());
            record[8..16].copy_from_slice(&operation.invoke.to_le_bytes());
            record[16..24].copy_from_slice(&operation.ret.to_le_bytes());
            record[24] = action;
            record[25] = completion;
            for (place, value) in [Some(operation.key), first, second, result].into_iter().enumerate() {
                let checksum = value.map_or(0, |value| checksums[value.place()]);
                record[26 + 4 * place..30 + 4 * place].copy_from_slice(&checksum.to_le_bytes());
            }
            crc = crc32c::crc32c_append(crc, &record);
        }
        Self { operations: history.len() as u64, crc32c: crc }
    }
}

fn value_text(value: &Value) -> String {
    serde_json::to_string(value).expect("a value is always JSON")
}
