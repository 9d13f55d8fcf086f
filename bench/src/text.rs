//! Messages with the time of their sending in their text.

use std::io::Write;

use common::clock::Timestamp;
use common::id::MessageId;
use uuid::Uuid;

const STAMP_BYTES: usize = 20;
const TEXT: &[u8] = br#""text":""#;

/// Appends the request that sends a text of `bytes` bytes, sent at `nanos`.
pub fn put_message(out: &mut Vec<u8>, bytes: usize, nanos: u64) {
    let (request, id, at) = (Uuid::new_v4(), MessageId::new(), Timestamp::now().as_millis());
    let room = bytes.saturating_sub(STAMP_BYTES);
    // Writing into memory does not fail.
    let _ = write!(
        out,
        r#"{{"id":"{request}","command":"MESSAGE","body":{{"id":"{id}","type":"text","sent_at":{at},"body":{{"text":"{nanos:020}{:x<room$}"}}}}}}"#,
        ""
    );
    out.push(b'\n');
}

/// When the message in a line was sent.
pub fn stamp_of(line: &[u8]) -> Option<u64> {
    let begin = memchr::memmem::rfind(line, TEXT)? + TEXT.len();
    let stamp = line.get(begin..begin + STAMP_BYTES)?;
    std::str::from_utf8(stamp).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_has_its_length_and_its_time() {
        let mut out = Vec::new();
        put_message(&mut out, 100, 12345);
        assert_eq!(stamp_of(&out), Some(12345));
        let line: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(line["body"]["body"]["text"].as_str().unwrap().len(), 100);
    }
}
