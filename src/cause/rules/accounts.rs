//! Budgets, credit, plans and bills.

use super::{CauseRule, LIKELY, SURE, rule};
use crate::outcome::Cause::Account;

pub(super) const RULES: &[CauseRule] = &[
    rule("gateway_budget", Account, SURE)
        .says(&[
            r"exceeded\w{0,12} ?budget|max budget",
            r"budget has been exceeded",
            r"budget ?_?exceeded",
            r"exceeded (?:\w+ )?budget",
            r"crossed budget",
            r"\bover (?:\w+ )?budget",
            r"budget (?:limit )?(?:was |is )?(?:reached|used up|exhausted)",
        ])
        .unless(&[r"budget_tokens", r"thinking.budget"])
        .why("the gateway's budget for a key, user, team or deployment is used up")
        .next("the gateway's administrator raises or resets the budget named in the message, or the run uses another key")
        .example("400 Budget has been exceeded! Key=sk-...ab12 Current cost: 12.5, Max budget: 10.0"),
    rule("no_credit", Account, SURE)
        .says(&[
            r"out of (?:extra )?usage\b",
            r"credits? (?:are|is|have been|has been) (?:depleted|exhausted|used up)|prepa(?:id|yment) credits|please recharge|suspended due to insufficient",
            r"credit balance (?:is )?too low",
            r"insufficient[_ ](?:credits?|balance|funds|account balance)",
            r"(?:out of|no|not enough|requires more|run out of) (?:usage )?credits?\b",
            r"payment[_ ]?required",
            r"billing_error",
            r"billing[_ ](?:hard[_ ]limit|not[_ ]active)",
            r"check your billing details",
            r"past due|overdue|unpaid invoice|payment (?:method|failed|declined)|trial (?:has )?(?:expired|ended)|top[ -]?up (?:your|at|the)|欠费",
            r"insufficient (?:user )?quota|quota (?:is )?not enough|token quota .{0,20}exhausted|余额不足|预扣费额度失败|额度不足",
        ])
        .unless(&[r"exceeded your current quota"])
        .why("the account behind the key has no credit")
        .next("the account's owner adds credit or a payment method; then run the column again")
        .example("API Error: 400 {\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\",\"message\":\"Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or purchase credits.\"}}"),
    rule("spend_limit", Account, SURE)
        .says(&[
            r"reached your specified (?:workspace )?API usage limits",
            r"(?:monthly|daily|workspace|organization'?s?) (?:spend|spending|usage|credit)s? (?:limit|cap)",
            r"spend(?:ing)? (?:limit|cap) (?:reached|exceeded|has been)",
            r"you will regain access on",
        ])
        .why("the spending limit of the organization or workspace is reached")
        .next("the organization's administrator raises the spending limit, or wait for the day named in the message")
        .example("API Error: 400 {\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\",\"message\":\"You have reached your specified API usage limits. You will regain access on 2026-12-01 at 00:00 UTC.\"}}"),
    rule("quota_of_plan", Account, LIKELY)
        .says(&[
            r"insufficient_quota",
            r"exceeded your current quota, please check your plan",
        ])
        .unless(&[
            r"RESOURCE_EXHAUSTED",
            r"quota metric",
            r"per_?(?:minute|day)",
            r"retry in \d",
        ])
        .why("the plan's quota is used up, and waiting does not help")
        .next("the account's owner checks plan and billing and adds credit")
        .example("litellm.RateLimitError: OpenAIException - You exceeded your current quota, please check your plan and billing details."),
    rule("billing_off", Account, SURE)
        .says(&[
            r"BILLING_DISABLED",
            r"requires billing to be enabled",
            r"billing (?:account|is|has been|to be) .{0,60}(?:disabled|closed|not enabled|not found|delinquent|not active)",
            r"INVALID_PAYMENT_INSTRUMENT",
            r"valid payment instrument",
            r"ReadOnlyDisabledSubscription",
            r"subscription .{0,80}(?:is disabled|was disabled|has been disabled|is suspended|expired)",
        ])
        .why("billing is off for the cloud project or account")
        .next("the owner of the cloud account enables billing or sets a valid payment method, then waits some minutes")
        .example("{\"error\":{\"code\":403,\"message\":\"This API method requires billing to be enabled. Please enable billing on project #1234.\",\"status\":\"PERMISSION_DENIED\",\"details\":[{\"reason\":\"BILLING_DISABLED\"}]}}"),
    rule("account_disabled", Account, LIKELY)
        .says(&[
            r"(?:beta|feature|model) .{0,40}not (?:yet )?(?:available|included|enabled) .{0,20}(?:subscription|plan|tier)\b",
            r"(?:organization|account|workspace) (?:has been|is|was) (?:currently )?(?:disabled|suspended|deactivated|closed|on hold|archived)",
            r"account_deactivated",
            r"not available with the Claude \w+ plan",
        ])
        .unless(&[r"disabled API key", r"on-?hold for model"])
        .why("the account or organization may not use this")
        .next("the organization's owner asks the provider why it is closed, or the run uses another account")
        .example("API Error: 400 {\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\",\"message\":\"This organization has been disabled.\"}}"),
];
