//! How deep JSON goes. Pure.
//!
//! The reader of this program does not mind, but others do: in some languages a line that goes deep enough ends the
//! program that reads it.

use memchr::memchr2_iter;

/// Whether objects and lists stand within each other deeper than `most`. What is no JSON may be called either.
pub fn is_deeper_than(most: usize, json: &[u8]) -> bool {
    // Nearly always the brackets are fewer than that, those within texts included.
    memchr2_iter(b'{', b'[', json).nth(most).is_some() && deepest(json) > most
}

fn deepest(json: &[u8]) -> usize {
    let (mut depth, mut deepest, mut is_text, mut is_escaped) = (0_usize, 0, false, false);
    for byte in json {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_text => is_escaped = true,
            b'"' => is_text = !is_text,
            _ if is_text => {}
            b'{' | b'[' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nested(depth: usize) -> String {
        format!("{}1{}", "[".repeat(depth), "]".repeat(depth))
    }

    #[test]
    fn only_what_stands_within_each_other_counts() {
        let beside = format!("[{}1]", "{},[],".repeat(500));
        let in_text =
            format!(r#"{{"a":"{}","b":"\"{}\\","c":{}}}"#, "[".repeat(500), "{".repeat(500), nested(3));
        for (json, depth) in [("1", 0), ("{}", 1), (&beside, 2), (&in_text, 4), (&nested(40), 40)] {
            assert_eq!(deepest(json.as_bytes()), depth, "{json}");
            assert!(!is_deeper_than(depth, json.as_bytes()));
            assert!(depth == 0 || is_deeper_than(depth - 1, json.as_bytes()), "{json}");
        }
    }

    #[test]
    fn what_is_no_json_harms_nothing() {
        for bytes in [&b"]]]}}}"[..], b"\"\\", b"[[[[", b"\xff\xfe{", b""] {
            is_deeper_than(2, bytes);
        }
        assert!(is_deeper_than(2, b"[[[["));
    }
}
