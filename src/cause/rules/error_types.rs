//! Error types and statuses that mean one thing, whatever else the text says.

use super::{CauseRule, NEXT_WAIT, PLAUSIBLE, rule};
use crate::outcome::Cause::{Account, Auth, Config, Gateway, RateLimit};

pub(super) const RULES: &[CauseRule] = &[
    rule("not_found", Config, PLAUSIBLE)
        .says(&[r"not_found_error|NotFoundError|\bNOT_FOUND\b"])
        .why("an error of the type `not found`")
        .next("compare base, path and model id in the gateway's configuration with what the provider offers")
        .example("litellm.NotFoundError: AnthropicException - {\"type\":\"error\",\"error\":{\"type\":\"not_found_error\",\"message\":\"Not Found\"}}"),
    rule("page_of_a_firewall", Gateway, PLAUSIBLE)
        .says(&[r"(?is)\b403\b.*<html|<html.*\b(403|blocked)\b"])
        .why("a web page that forbids the request, which no API answers with")
        .next("find out what answers at this address: a firewall or a proxy in front of the gateway; let it pass such requests")
        .example("API Error: 403 <!DOCTYPE html><html><head><title>Attention Required!</title></head><body>Sorry, you have been blocked</body></html>"),
    rule("status_auth", Auth, PLAUSIBLE)
        .status(&[(401, 401), (403, 403), (407, 407)])
        .why("the status says that the credential was refused; the text adds nothing")
        .next("find out which credential it is (claude's for the gateway, or the gateway's for the provider) and renew it")
        .example("[m] claude CLI failed: exit=1; api_status=403; text="),
    rule("status_account", Account, PLAUSIBLE)
        .status(&[(402, 402)])
        .why("the status asks for payment; the text adds nothing")
        .next("the account's owner adds credit")
        .example("API Error: 402 {}"),
    rule("status_config", Config, PLAUSIBLE)
        .status(&[(404, 405), (410, 410)])
        .why("the status says that the address does not exist; the text adds nothing")
        .next("compare base, path and model id in the gateway's configuration with what the provider offers")
        .example("API Error: 404 {}"),
    rule("status_rate_limit", RateLimit, PLAUSIBLE)
        .status(&[(429, 429)])
        .why("the status says `too many requests`; the text adds nothing")
        .next(NEXT_WAIT)
        .example("API Error: 429 {}"),
];
