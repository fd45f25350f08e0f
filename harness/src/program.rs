//! Which build was tested: enough of a program to notice that it is another one.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use serde::{Deserialize, Serialize};

/// Read at a time.
const CHUNK_BYTES: usize = 1 << 20;

/// The mark of an executable: two builds that differ have different ones, unless somebody means to deceive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// Its length.
    pub bytes: u64,
    /// CRC-32C of its bytes.
    pub crc32c: u32,
}

impl Program {
    /// Of this file. Reads all of it, about a gigabyte a second.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn of(path: &Path) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let mut chunk = vec![0; CHUNK_BYTES];
        let mut program = Self { bytes: 0, crc32c: 0 };
        loop {
            let read = file.read(&mut chunk)?;
            if read == 0 {
                return Ok(program);
            }
            program.bytes += read as u64;
            program.crc32c = crc32c::crc32c_append(program.crc32c, &chunk[..read]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_build_has_another_mark() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("program");
        let of = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            Program::of(&path).unwrap()
        };
        // The check value of the polynomial's catalogue entry.
        assert_eq!(of(b"123456789"), Program { bytes: 9, crc32c: 0xe306_9283 });
        let long = vec![7; 3 * CHUNK_BYTES + 1];
        let one = of(&long);
        assert_eq!(one, of(&long));
        assert_ne!(one, of(&long[1..]));
        assert_ne!(one.crc32c, of(&[&long[1..], b"8"].concat()).crc32c);
    }
}
