//! Taking whole frames out of a stream of bytes, and leaving them as they are.

use std::{io, ops::Range};

use nodes::server::frame::{FRAME_HEADER_BYTES, FrameHeader};
use tokio::io::{AsyncRead, AsyncReadExt};

/// Bytes asked for at a time.
const READ_BYTES: usize = 64 << 10;

/// What was read of a connection and not yet taken.
#[derive(Debug, Default)]
pub(super) struct Frames {
    bytes: Vec<u8>,
    /// What stands before this was taken.
    taken: usize,
}

/// A frame in the buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    whole: Range<usize>,
}

impl Frames {
    /// Reads more. May be given up at any moment without losing a byte. Zero at the end of the stream.
    pub async fn fill(&mut self, stream: &mut (impl AsyncRead + Unpin)) -> io::Result<usize> {
        self.bytes.drain(..self.taken);
        self.taken = 0;
        self.bytes.reserve(READ_BYTES);
        stream.read_buf(&mut self.bytes).await
    }

    /// The next whole frame, if there is one. Valid until the next [`fill`](Self::fill).
    ///
    /// # Errors
    /// When the length that it begins with is impossible: these are no frames.
    pub fn take(&mut self) -> io::Result<Option<Frame>> {
        let rest = &self.bytes[self.taken..];
        let Some(header) = rest.first_chunk::<FRAME_HEADER_BYTES>() else { return Ok(None) };
        let header = FrameHeader::parse(*header).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        let length = FRAME_HEADER_BYTES + header.body_bytes;
        if rest.len() < length {
            return Ok(None);
        }
        let whole = self.taken..self.taken + length;
        self.taken = whole.end;
        Ok(Some(Frame { whole }))
    }

    /// The bytes of a frame, as they came.
    pub fn whole(&self, frame: &Frame) -> &[u8] {
        &self.bytes[frame.whole.clone()]
    }

    /// What the frame carries.
    pub fn body(&self, frame: &Frame) -> &[u8] {
        &self.whole(frame)[FRAME_HEADER_BYTES..]
    }
}

#[cfg(test)]
mod tests {
    use nodes::server::frame::put_frame;

    use super::*;

    #[tokio::test]
    async fn frames_come_out_as_they_went_in_however_the_bytes_come() {
        let mut sent = Vec::new();
        for text in ["a", "", "longer than the others"] {
            put_frame(&mut sent, &text).unwrap();
        }
        for step in [1, 7, sent.len()] {
            let (mut frames, mut got, mut bodies) = (Frames::default(), Vec::new(), 0);
            for mut chunk in sent.chunks(step) {
                frames.fill(&mut chunk).await.unwrap();
                while let Some(frame) = frames.take().unwrap() {
                    got.extend_from_slice(frames.whole(&frame));
                    bodies += frames.body(&frame).len();
                }
            }
            assert_eq!((&got, bodies), (&sent, sent.len() - 3 * FRAME_HEADER_BYTES));
        }
    }

    #[tokio::test]
    async fn what_is_no_frame_is_refused() {
        let mut frames = Frames::default();
        frames.fill(&mut &[0xff_u8; 16][..]).await.unwrap();
        assert!(frames.take().is_err());
        assert_eq!(frames.fill(&mut &[][..]).await.unwrap(), 0);
    }
}
