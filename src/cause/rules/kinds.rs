//! A kind of error or a status that means one thing, whatever else is said.
//!
//! Never looks at anything but the message.
#![warn(clippy::disallowed_methods)]

use super::When::{Says, Status};
use super::{NEXT_WAIT, PLAUSIBLE, Rule};
use crate::outcome::Cause::{Account, Auth, Config, RateLimit};

pub(super) const RULES: &[Rule] = &[
    Rule {
        name: "not_found",
        cause: Config,
        confidence: PLAUSIBLE,
        when: Says(&[r"not_found_error|NotFoundError|\bNOT_FOUND\b"]),
        unless: &[],
        on: &[],
        why: "an error of the kind `not found`",
        next: "compare base, path and model id in the gateway's configuration with what the provider offers",
        example: "litellm.NotFoundError: AnthropicException - {\"type\":\"error\",\"error\":{\"type\":\"not_found_error\",\"message\":\"Not Found\"}}",
    },
    Rule {
        name: "status_auth",
        cause: Auth,
        confidence: PLAUSIBLE,
        when: Status(&[(401, 401), (403, 403), (407, 407)]),
        unless: &[],
        on: &[],
        why: "the status says that the credential was refused, the text says no more",
        next: "find out whose credential it is (claude's for the gateway, or the gateway's for the provider) and renew that one",
        example: "[m] claude CLI failed: exit=1; api_status=403; text=",
    },
    Rule {
        name: "status_account",
        cause: Account,
        confidence: PLAUSIBLE,
        when: Status(&[(402, 402)]),
        unless: &[],
        on: &[],
        why: "the status asks for payment, the text says no more",
        next: "the account's owner adds credit",
        example: "API Error: 402 {}",
    },
    Rule {
        name: "status_config",
        cause: Config,
        confidence: PLAUSIBLE,
        when: Status(&[(404, 405), (410, 410)]),
        unless: &[],
        on: &[],
        why: "the status says that there is nothing at that address, the text says no more",
        next: "compare base, path and model id in the gateway's configuration with what the provider offers",
        example: "API Error: 404 {}",
    },
    Rule {
        name: "status_rate_limit",
        cause: RateLimit,
        confidence: PLAUSIBLE,
        when: Status(&[(429, 429)]),
        unless: &[],
        on: &[],
        why: "the status says `too many requests`, the text says no more",
        next: NEXT_WAIT,
        example: "API Error: 429 {}",
    },
];
