//! The report of the differences.

use compat_matrix::expectation::kinds::{DocumentArrivedCheck, ImageArrivedCheck};
use compat_matrix::expectation::{Check, Interest, Turn};
use compat_matrix::wire_diff::compare;
use serde_json::{Value, json};

use super::{Wire, list};

#[test]
fn a_report_is_short_and_lists_the_broken_part_first() {
    let wire = Wire::one().arrives(|body| {
        list(body, "/messages/2/content").remove(1);
        for index in 0..20 {
            body[format!("field_{index}")] = json!(index);
        }
    });
    let diff = compare(&wire.sent, &wire.exchanges);
    let image = Check::ImageArrived(ImageArrivedCheck { turn: Turn::Every });
    let lines = diff.lines(Interest::in_order(&image.interests(), &diff));
    assert_eq!(lines.len(), 12, "{lines:#?}");
    assert!(lines[0].contains("(image)` dropped"), "{lines:#?}");
    assert_eq!(lines[11], "and 10 more: `wire-diff.txt`");
    assert_eq!(
        diff.text()
            .lines()
            .filter(|line| line.starts_with("request 1"))
            .count(),
        21
    );
}

#[test]
fn a_lost_file_is_explained_by_its_own_change() {
    let file = |kind: &str, media_type: &str| json!({"type": kind, "source": {"type": "base64", "media_type": media_type, "data": "AA=="}});
    let files = [file("document", "application/pdf"), file("image", "image/png")];
    let body = |contents: [Value; 2]| {
        let result = |content| json!({"type": "tool_result", "tool_use_id": "toolu_1", "content": [content]});
        json!({"stream": true, "messages": [{"role": "user", "content": contents.map(result)}]})
    };
    let wire = Wire::of(&[(body(files), json!([{"type": "text", "text": "a"}]))]);
    let text = |text: &str| json!({"type": "text", "text": text});
    let wire = wire.arrives(|arrives| *arrives = body([text("b"), text("c")]));
    let diff = compare(&wire.sent, &wire.exchanges);
    let turn = Turn::Every;
    for (check, lost) in [
        (Check::ImageArrived(ImageArrivedCheck { turn }), "image/png"),
        (
            Check::DocumentArrived(DocumentArrivedCheck { turn }),
            "application/pdf",
        ),
    ] {
        let lines = diff.lines(Interest::in_order(&check.interests(), &diff));
        assert!(lines[0].contains(lost), "{lost}: {lines:#?}");
    }
}

#[test]
fn another_form_of_the_same_letters_is_named() {
    let arrived_as = |sent: &str, arrived: &str| {
        let body = |text: &str| json!({"stream": true, "messages": [{"role": "user", "content": text}]});
        let wire = Wire::of(&[(body(sent), json!([{"type": "text", "text": "a"}]))]);
        wire.arrives(|arrives| *arrives = body(arrived))
            .changes()
            .join("\n")
    };
    let text = "request 1: block `messages[0] user block 0 (text).text` changed";
    let (composed, decomposed) = ("caf\u{e9}", "cafe\u{301}");
    assert_eq!(
        arrived_as(composed, decomposed),
        format!("{text}: \"{composed}\" → the same letters, decomposed")
    );
    assert_eq!(
        arrived_as(decomposed, composed),
        format!("{text}: \"{decomposed}\" → the same letters, composed")
    );
}
