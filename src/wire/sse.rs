//! Server-sent events (<https://html.spec.whatwg.org/multipage/server-sent-events.html>) as the Messages API uses them.

use serde_json::Value;

use super::script::StreamFraming;

/// One event's bytes in one of the forms that mean the same.
pub fn encode_as(data: &Value, framing: StreamFraming) -> Vec<u8> {
    let end = framing.line_end.as_str();
    let space = if framing.no_space { "" } else { " " };
    // JSON allows line breaks between its tokens, and a client joins the lines with them.
    let text = match framing.split_data {
        true => format!("{data:#}"),
        false => data.to_string(),
    };
    let mut event = String::new();
    if framing.comments {
        event += &format!(":{space}keep-alive{end}{end}");
    }
    if framing.ids {
        event += &format!("id:{space}1{end}retry:{space}3000{end}");
    }
    let name = format!("event:{space}{}{end}", data["type"].as_str().unwrap_or("message"));
    let lines = text.lines().map(|line| format!("data:{space}{line}{end}"));
    let data: String = lines.collect();
    event += &match framing.data_first {
        true => data + &name,
        false => name + &data,
    };
    (event + end).into_bytes()
}

/// The bytes that may precede a stream.
pub const BYTE_ORDER_MARK: &str = "\u{feff}";

/// One event's bytes; its name is the `type` of `data`.
pub fn encode(data: &Value) -> Vec<u8> {
    encode_as(data, StreamFraming::default())
}

/// The bytes of an event with any text as its data.
pub fn frame(name: &str, data: &str) -> Vec<u8> {
    format!("event: {name}\ndata: {data}\n\n").into_bytes()
}

/// The events of a whole stream: name and data of each. Without an `event:` line the name is empty.
pub fn decode(text: &str) -> Vec<(String, String)> {
    decode_part(text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text))
}

/// The events of a part of a stream that is not its start.
pub fn decode_part(text: &str) -> Vec<(String, String)> {
    text.replace("\r\n", "\n")
        .replace('\r', "\n")
        .split("\n\n")
        .filter_map(decode_event)
        .collect()
}

fn decode_event(lines: &str) -> Option<(String, String)> {
    let mut name = String::new();
    let mut data = Vec::new();
    for line in lines.lines() {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut name),
            "data" => data.push(value),
            _ => {}
        }
    }
    (!data.is_empty()).then(|| (name, data.join("\n")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::wire::script::LineEnd;

    #[test]
    fn encoded_events_are_decoded() {
        let ping = json!({"type": "ping"});
        let delta = json!({"type": "content_block_delta", "delta": {"text": "a\nb"}});
        let bytes = [encode(&ping), encode(&delta)].concat();
        assert_eq!(
            decode(std::str::from_utf8(&bytes).unwrap()),
            [
                ("ping".to_owned(), ping.to_string()),
                ("content_block_delta".to_owned(), delta.to_string()),
            ]
        );
    }

    #[test]
    fn every_framing_means_the_same() {
        let data = json!({"type": "content_block_delta", "delta": {"text": "a\r\nb"}});
        for line_end in [LineEnd::Lf, LineEnd::Crlf, LineEnd::Cr] {
            for bits in 0..64 {
                let framing = StreamFraming {
                    piece_bytes: None,
                    line_end,
                    comments: bits & 1 > 0,
                    split_data: bits & 2 > 0,
                    no_space: bits & 4 > 0,
                    ids: bits & 8 > 0,
                    data_first: bits & 16 > 0,
                    byte_order_mark: bits & 32 > 0,
                };
                let mark = if framing.byte_order_mark {
                    BYTE_ORDER_MARK
                } else {
                    ""
                };
                let event = String::from_utf8(encode_as(&data, framing)).unwrap();
                let text = format!("{mark}{event}");
                let (name, decoded) = decode(&text).pop().unwrap();
                assert_eq!(name, "content_block_delta", "{text:?}");
                assert_eq!(serde_json::from_str::<Value>(&decoded).unwrap(), data, "{text:?}");
            }
        }
    }

    #[test]
    fn comments_and_data_over_several_lines_are_understood() {
        assert_eq!(
            decode(": hello\n\nevent: x\r\ndata: 1\r\ndata: 2\r\n\r\ndata: 3\n\n"),
            [
                ("x".to_owned(), "1\n2".to_owned()),
                (String::new(), "3".to_owned())
            ]
        );
    }
}
