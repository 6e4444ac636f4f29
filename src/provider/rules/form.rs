//! The form of a request: what every request of its kind must have before its contents matter.

use super::{Rule, Subject};
use crate::wire::error_reply::ErrorReply;
use crate::wire::exchange::Body;
use crate::wire::{Operation, Route};

pub(super) const RULES: &[Rule] = &[
    Rule {
        name: "known_operation",
        source: "https://platform.claude.com/docs/en/api/errors (404 not_found_error)",
        check: known_operation,
    },
    Rule {
        name: "json_body",
        source: "https://platform.claude.com/docs/en/api/errors (400 invalid_request_error)",
        check: json_body,
    },
    Rule {
        name: "messages",
        source: "https://platform.claude.com/docs/en/api/messages (messages is required)",
        check: messages,
    },
];

fn known_operation(subject: &Subject) -> Option<ErrorReply> {
    if subject.incoming.target.operation != Operation::Unknown {
        return None;
    }
    Some(match subject.incoming.target.route {
        Some(Route::BedrockInvoke | Route::BedrockConverse) => {
            ErrorReply::new(404, "").native("UnknownOperationException")
        }
        _ => ErrorReply::new(404, "Not Found"),
    })
}

fn json_body(subject: &Subject) -> Option<ErrorReply> {
    let is_json = matches!(subject.incoming.recorded.body, Body::Json(_));
    (!is_json && subject.incoming.target.operation != Operation::OauthToken)
        .then(|| ErrorReply::new(400, "The request body is not valid JSON"))
}

fn messages(subject: &Subject) -> Option<ErrorReply> {
    let incoming = subject.incoming;
    let wants = matches!(
        incoming.target.operation,
        Operation::Messages | Operation::CountTokens
    );
    (wants && incoming.message.is_none()).then(|| ErrorReply::new(400, "messages: Field required"))
}
