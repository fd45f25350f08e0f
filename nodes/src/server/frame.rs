//! What peers put on the wire.
//!
//! ```text
//!   connection   frame(Hello)  frame(message)  frame(message) …        one direction only: nothing ever comes back
//!   frame        len u32 | crc32c u32 | body (postcard)                 little-endian; len counts crc and body;
//!                                                                       the crc covers len and body
//! ```
//!
//! TCP's own checksum is weak, and a fault injector that alters packets recomputes it. A corrupted message that still
//! decodes would make this node a liar, against which no protocol here is safe: hence the checksum.

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::protocol::NodeId;

/// Bytes of a frame before its body.
pub const FRAME_HEADER_BYTES: usize = 8;
/// The largest body: a snapshot travels in one message.
pub const FRAME_BODY_BYTES_MAX: usize = 64 << 20;
/// The version of this format and of the messages in it.
pub const WIRE_VERSION: u16 = 2;
/// Begins every connection.
pub const WIRE_MAGIC: [u8; 4] = *b"TLPR";

/// The first frame of a connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// [`WIRE_MAGIC`].
    pub magic: [u8; 4],
    /// [`WIRE_VERSION`].
    pub version: u16,
    /// The cluster's name.
    pub cluster: String,
    /// Who speaks.
    pub from: NodeId,
    /// Who is meant.
    pub to: NodeId,
}

/// Why bytes from a peer were refused. The connection is closed then.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// Too long, or too short for its checksum.
    #[error("a frame of {0} bytes")]
    Length(usize),
    /// The body did not come in time.
    #[error("a frame said that {0} bytes follow, and they did not")]
    Stalled(usize),
    /// The checksum differs.
    #[error("a frame was corrupted on the way")]
    Checksum,
    /// The body is no such value.
    #[error("a frame does not decode: {0}")]
    Decode(#[from] postcard::Error),
    /// The hello is not for us.
    #[error("wrong hello: {0}")]
    Hello(String),
}

/// Appends a frame with `value`.
///
/// # Errors
/// When the value does not serialize or is too long; the buffer is then as before.
pub fn put_frame<T: Serialize>(buffer: &mut Vec<u8>, value: &T) -> Result<(), FrameError> {
    let at = buffer.len();
    let body = postcard::to_stdvec(value)?;
    if body.len() > FRAME_BODY_BYTES_MAX {
        return Err(FrameError::Length(body.len()));
    }
    let len = u32::try_from(4 + body.len()).expect("bounded above");
    buffer.reserve(FRAME_HEADER_BYTES + body.len());
    buffer.extend_from_slice(&len.to_le_bytes());
    buffer.extend_from_slice(&checksum(len, &body).to_le_bytes());
    buffer.extend_from_slice(&body);
    debug_assert_eq!(buffer.len(), at + FRAME_HEADER_BYTES + body.len());
    Ok(())
}

/// Covers the length too: a frame cut or prolonged by a corrupted length must not pass by accident.
fn checksum(len: u32, body: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&len.to_le_bytes()), body)
}

/// The header of a frame, taken apart.
#[derive(Clone, Copy, Debug)]
pub struct FrameHeader {
    /// Bytes of the body that follows.
    pub body_bytes: usize,
    len: u32,
    crc: u32,
}

impl FrameHeader {
    /// Reads a header.
    ///
    /// # Errors
    /// When the length is impossible.
    pub fn parse(bytes: [u8; FRAME_HEADER_BYTES]) -> Result<Self, FrameError> {
        let [a, b, c, d, e, f, g, h] = bytes;
        let len = u32::from_le_bytes([a, b, c, d]);
        match (len as usize).checked_sub(4) {
            Some(body_bytes) if body_bytes <= FRAME_BODY_BYTES_MAX => {
                Ok(Self { body_bytes, len, crc: u32::from_le_bytes([e, f, g, h]) })
            }
            _ => Err(FrameError::Length(len as usize)),
        }
    }

    /// Decodes the body that belongs to this header.
    ///
    /// # Errors
    /// When it was corrupted, or is no `T`.
    pub fn decode<T: DeserializeOwned>(self, body: &[u8]) -> Result<T, FrameError> {
        if checksum(self.len, body) != self.crc {
            return Err(FrameError::Checksum);
        }
        decode(body)
    }
}

/// Decodes the body of a frame whose checksum somebody else has looked at, or will.
///
/// # Errors
/// When it is no `T`.
pub fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, FrameError> {
    Ok(postcard::from_bytes(body)?)
}

impl Hello {
    /// What `from` says to `to` first.
    #[must_use]
    pub fn new(cluster: &str, from: NodeId, to: NodeId) -> Self {
        Self { magic: WIRE_MAGIC, version: WIRE_VERSION, cluster: cluster.to_owned(), from, to }
    }

    /// Whether this connection is for node `me` of `cluster`, from one of `peers`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self, cluster: &str, me: NodeId, peers: &[NodeId]) -> Result<NodeId, FrameError> {
        let wrong = |what: String| Err(FrameError::Hello(what));
        if self.magic != WIRE_MAGIC {
            return wrong("not a peer".to_owned());
        }
        if self.version != WIRE_VERSION {
            return wrong(format!("it speaks version {}, this node {WIRE_VERSION}", self.version));
        }
        if self.cluster != cluster {
            return wrong(format!("it belongs to cluster {:?}", self.cluster));
        }
        if self.to != me {
            return wrong(format!("it looks for node {}", self.to.0));
        }
        if self.from == me || !peers.contains(&self.from) {
            return wrong(format!("node {} is no peer", self.from.0));
        }
        Ok(self.from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(value: &Hello) -> Vec<u8> {
        let mut bytes = Vec::new();
        put_frame(&mut bytes, value).unwrap();
        bytes
    }

    fn read(bytes: &[u8]) -> Result<Hello, FrameError> {
        let header = FrameHeader::parse(bytes[..8].try_into().unwrap())?;
        header.decode(&bytes[8..])
    }

    #[test]
    fn no_flipped_bit_of_a_body_passes() {
        let hello = Hello::new("c", NodeId(1), NodeId(2));
        let bytes = frame(&hello);
        assert_eq!(read(&bytes).unwrap(), hello);
        for at in 4..bytes.len() {
            for bit in 0..8 {
                let mut bad = bytes.clone();
                bad[at] ^= 1 << bit;
                assert!(matches!(read(&bad), Err(FrameError::Checksum)), "byte {at} bit {bit}");
            }
        }
    }

    /// Bytes that happen to match their checksum without the length, as the first ones of a longer frame may.
    #[test]
    fn the_checksum_covers_the_length() {
        let bytes = frame(&Hello::new("c", NodeId(1), NodeId(2)));
        let body = &bytes[8..];
        let mut header: [u8; 8] = bytes[..8].try_into().unwrap();
        header[4..].copy_from_slice(&crc32c::crc32c(body).to_le_bytes());
        let refused = FrameHeader::parse(header).unwrap().decode::<Hello>(body);
        assert!(matches!(refused, Err(FrameError::Checksum)), "{refused:?}");
        header = bytes[..8].try_into().unwrap();
        header[0] ^= 1;
        let refused = FrameHeader::parse(header).unwrap().decode::<Hello>(body);
        assert!(matches!(refused, Err(FrameError::Checksum)), "{refused:?}");
    }

    #[test]
    fn impossible_lengths_are_refused() {
        for len in [0, 3, 5 + u32::try_from(FRAME_BODY_BYTES_MAX).unwrap(), u32::MAX] {
            let mut bytes = [0; 8];
            bytes[..4].copy_from_slice(&len.to_le_bytes());
            assert!(matches!(FrameHeader::parse(bytes), Err(FrameError::Length(_))), "{len}");
        }
    }

    #[test]
    fn a_wrong_hello_is_refused() {
        let peers = [NodeId(1), NodeId(2), NodeId(3)];
        let good = Hello::new("c", NodeId(1), NodeId(2));
        assert_eq!(good.check("c", NodeId(2), &peers).unwrap(), NodeId(1));
        let wrong = [
            Hello { magic: *b"HTTP", ..good.clone() },
            Hello { version: 9, ..good.clone() },
            Hello { cluster: "d".to_owned(), ..good.clone() },
            Hello { to: NodeId(3), ..good.clone() },
            Hello { from: NodeId(2), ..good.clone() },
            Hello { from: NodeId(4), ..good },
        ];
        for hello in wrong {
            assert!(matches!(hello.check("c", NodeId(2), &peers), Err(FrameError::Hello(_))), "{hello:?}");
        }
    }
}
