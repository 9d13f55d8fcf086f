//! Lines out of bytes, with a cap; pure over a buffer.

use bytes::{Buf, Bytes, BytesMut};
use tokio_util::codec::Decoder;

use crate::proto::limits::MAX_FRAME_BYTES;

/// Cuts a stream of bytes into lines of at most [`MAX_FRAME_BYTES`], their ends included.
///
/// What stands in a line is not its business: a line that is no frame can be answered and survived, one that does not
/// end within the cap cannot.
#[derive(Debug, Default)]
pub struct LineCodec {
    /// How much of the buffer is known to hold no line end.
    scanned: usize,
}

/// Why a stream cannot be cut into further lines.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// The line does not end within the cap.
    #[error("a line is over {MAX_FRAME_BYTES} bytes")]
    TooLong,
    /// The stream broke.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

impl Decoder for LineCodec {
    type Item = Bytes;
    type Error = LineError;

    fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<Bytes>, LineError> {
        let capped = &buffer[..buffer.len().min(MAX_FRAME_BYTES)];
        match memchr::memchr(b'\n', capped.get(self.scanned..).unwrap_or_default()) {
            Some(offset) => {
                let mut line = buffer.split_to(self.scanned + offset + 1).freeze();
                self.scanned = 0;
                line.truncate(line.len() - 1);
                Ok(Some(line))
            }
            None if buffer.len() >= MAX_FRAME_BYTES => Err(LineError::TooLong),
            None => {
                self.scanned = buffer.len();
                Ok(None)
            }
        }
    }

    /// What stands after the last line end is not a line.
    fn decode_eof(&mut self, buffer: &mut BytesMut) -> Result<Option<Bytes>, LineError> {
        let line = self.decode(buffer)?;
        if line.is_none() {
            buffer.advance(buffer.len());
        }
        Ok(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lines(chunks: &[Vec<u8>]) -> Result<Vec<Bytes>, LineError> {
        let (mut codec, mut buffer, mut lines) = (LineCodec::default(), BytesMut::new(), Vec::new());
        for chunk in chunks {
            buffer.extend_from_slice(chunk);
            while let Some(line) = codec.decode(&mut buffer)? {
                lines.push(line);
            }
        }
        Ok(lines)
    }

    proptest! {
        #[test]
        fn lines_do_not_depend_on_how_the_bytes_arrive(
            text in prop::collection::vec(prop_oneof![3 => any::<u8>(), 1 => Just(b'\n')], 0..400),
            cut in 1..60usize,
        ) {
            let chunks: Vec<_> = text.chunks(cut).map(<[u8]>::to_vec).collect();
            let expected: Vec<_> = text.split_inclusive(|byte| *byte == b'\n')
                .filter_map(|line| line.strip_suffix(b"\n"))
                .map(Bytes::copy_from_slice)
                .collect();
            prop_assert_eq!(lines(&chunks).unwrap(), expected);
        }
    }

    #[test]
    fn the_longest_line_passes_and_one_byte_more_does_not() {
        let longest = [vec![b'x'; MAX_FRAME_BYTES - 1], vec![b'\n']].concat();
        assert_eq!(lines(&[longest.clone(), longest]).unwrap().len(), 2);
        assert!(matches!(lines(&[vec![b'x'; MAX_FRAME_BYTES]]), Err(LineError::TooLong)));
        assert!(matches!(lines(&vec![vec![b'x'; 1000]; 66]), Err(LineError::TooLong)));
    }
}
