//! The CI service refused the configuration or the author, or ran out of its own limits.

use super::{LIKELY, LogRule, PLAUSIBLE, SURE, rule};
use crate::ci::FailureCategory::{Auth, Config, Infrastructure, Timing};

pub(super) const RULES: &[LogRule] = &[
    rule("context_refused", Auth, SURE)
        .says(&[
            r"^(?:job |workflow |status: )?unauthorized$",
            r"(?:not|isn't) authorized to (?:use|access) (?:the |this )?(?:restricted )?context",
            r"unauthorized .{0,40}contexts?\b|^(?:the )?contexts? .{0,40}\bunauthorized",
        ])
        .whole_job()
        .why("a context of the CI service refused the author")
        .do_this("let somebody with access to the context approve or rerun the workflow, or take the context off the job")
        .example("This job is unauthorized: the user is not authorized to use the context `prod`")
        .green("GET /context 401 Unauthorized as expected"),
    rule("pipeline_config_refused", Config, SURE)
        .says(&[
            r"^Error calling (?:workflow|job|command)\b",
            r"arguments referenced without declared parameters",
            r"cannot find (?:a definition for )?(?:job|command|executor|orb)s? (?:named|named:|called)",
            r"config compilation (?:contains|failed)|unable to parse yaml|^error: config(?:uration)? (?:errors?|file) ",
            r"invalid workflow file|the workflow is not valid|error parsing called workflow",
            r"unrecognized (?:named-value|function): |^#\/?\w*.* only \d+ subschema",
            r"unable to resolve action\b|can't find 'action\.ya?ml'|workflow was not found",
            r"circleci.{0,40}(?:config|schema) (?:is )?(?:invalid|validation)",
            r"requires '[^']+', which is the name of 0 other jobs",
            r"automatically failed because it uses a deprecated version|no (?:event )?triggers defined in `on`",
        ])
        .whole_job()
        .why("the CI service refused the configuration, so no job ran")
        .do_this("mend the CI configuration at the named key; validate it before you push")
        .example("Error calling workflow: 'tests'")
        .green("Config file at .circleci/config.yml is valid."),
    rule("no_output_limit", Config, LIKELY)
        .says(&[r"too long with no output \(exceeded"])
        .whole_job()
        .why("the step printed nothing for its `no_output_timeout`: a limit of the CI, or a hang")
        .do_this("find the hang in the last lines, or raise `no_output_timeout` of the step")
        .rerun(true)
        .example("Too long with no output (exceeded 10m0s): context deadline exceeded")
        .green("no_output_timeout: 30m"),
    rule("job_time_limit", Timing, PLAUSIBLE)
        .says(&[
            r"exceeded the maximum execution time of",
            r"^Error: The action .{0,80}has timed out after \d+ minutes",
            r"job (?:was )?(?:cancell?ed|timed out|killed).{0,60}(?:after|exceed).{0,20}(?:\d+ ?(?:h|m|minutes|hours)|limit|time)",
            r"hit the max job runtime|max job runtime|execution took longer than",
            r"command took >\d+ ?min, returning 124",
            r"(?:exit(?:ed)?(?: with)?(?: exit)?(?: code| status)? 124$)",
        ])
        .whole_job()
        .why("the job or the step was slower than its time limit")
        .do_this("split the job, find the slow test, or raise the time limit in the CI configuration")
        .example("Error: The action 'Test' has timed out after 360 minutes.")
        .green("timeout-minutes: 360"),
    rule("ci_account_limit", Infrastructure, PLAUSIBLE)
        .says(&[
            r"job was not started because (?:recent )?account payments",
            r"spending limit needs to be increased",
            r"(?:plan|organization|account) .{0,40}(?:out of|no(?:t enough)?|insufficient) credits",
            r"artifact storage quota has been hit|usage limit for this resource class",
        ])
        .whole_job()
        .why("the CI account has no credit or quota left")
        .do_this("ask the owner of the CI account to raise its limit")
        .example("The job was not started because recent account payments have failed or your spending limit needs to be increased.")
        .green("used 10% of the storage quota"),
];
