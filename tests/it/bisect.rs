//! `compat bisect` on the doubles of [`crate::published`].

use crate::published::{TRIAL, project};
use crate::support::files::write_program;
use crate::support::text::{assert_has, assert_lacks};

#[tokio::test]
async fn the_answer_names_the_two_neighbours_and_the_skipped() {
    let (small, _index) = project().await;
    let ran = small
        .compat(&["bisect", TRIAL, "--good", "1.0.0", "--bad", "1.6.0"])
        .await;
    ran.exits(0);
    ran.out_has("last without:  litellm 1.1.0\nfirst with:    litellm 1.4.0", 1);
    assert_has(
        &ran.out,
        "skipped:       1.3.0: the gateway ended before it was ready (exit status 1)",
    );
    assert_has(&ran.out, "ImportError: cannot import name 'Gone'");
    assert_has(&ran.out, "skipped:       1.2.0: ");
    assert_has(&ran.out, "  litellm/version.py changed");
    assert_lacks(&ran.out, "litellm/same.py");
    assert_has(&ran.out, "── without: litellm 1.1.0\nthe trial passes");
    assert_lacks(&ran.err, "1.6.0rc1");
}

#[tokio::test]
async fn it_checks_both_ends_first() {
    let (small, _index) = project().await;
    for (good, bad, expected) in [
        ("1.4.0", "1.6.0", "`--good 1.4.0` has a failed trial too"),
        (
            "1.0.0",
            "1.1.0",
            "`--bad 1.1.0` does not have a failed trial: `--finding` can name what it shows. If 1.0.0 has it, swap the two versions",
        ),
        (
            "1.3.0",
            "1.6.0",
            "`--good 1.3.0` cannot be judged: the gateway ended before it was ready",
        ),
        ("1.0.0", "1.0.0", "`--good` and `--bad` are the same version"),
        ("1.0.0", "1.6.1rc1", "is not a published version"),
    ] {
        let ran = small
            .compat(&["bisect", TRIAL, "--good", good, "--bad", bad])
            .await;
        ran.exits(1);
        ran.err_has(expected);
    }
}

/// A search for `finding` between the oldest and the newest version.
fn searching<'a>(trial: &'a str, finding: &'a str) -> [&'a str; 8] {
    [
        "bisect",
        trial,
        "--finding",
        finding,
        "--good",
        "1.0.0",
        "--bad",
        "1.6.0",
    ]
}

#[tokio::test]
async fn it_skips_what_breaks_before_the_finding_shows() {
    let (small, _index) = project().await;
    let finding = "request beta effort-2025-11-24 dropped";
    let ran = small.compat(&searching(TRIAL, finding)).await;
    ran.exits(1);
    ran.err_has("`--bad 1.6.0` cannot be judged: the trial breaks before the finding shows");
    assert_lacks(&ran.err, "1.0.0: ");
}

/// Of two declarations of the same subject, a version's own one may have another name.
#[tokio::test]
async fn a_declared_finding_is_what_it_shows() {
    let (small, _index) = project().await;
    let declared = |name: &str, version: &str| {
        format!(
            "  {name}:\n    shows: ['expectation *::run']\n    providers: [anthropic]\n    versions: '={version}'\n    reason: It \
             fails.\n    loses: All.\n    link: https://example.org/issues/1\n"
        )
    };
    let findings = [declared("first", "1.4.0"), declared("second", "1.6.0")].concat();
    let file = format!("name: LiteLLM\ninstall: {{tool: litellm}}\nfindings:\n{findings}");
    small.write("gateways/litellm.yaml", &file);
    let ran = small.compat(&searching(TRIAL, "second")).await;
    ran.exits(0);
    ran.out_has("first with:    litellm 1.4.0", 1);
    ran.err_has("1.6.0 shows:\n  expectation text::run (`second`)");
}

#[tokio::test]
async fn it_refuses_what_the_trial_cannot_have() {
    let (small, index) = project().await;
    for (trial, finding, expected) in [
        (
            TRIAL,
            "nosuch",
            "cannot have the finding `nosuch`: it can have a change",
        ),
        (TRIAL, "asked_onec", "(did you mean `asked_once`?)"),
        (TRIAL, "request bet x dropped", "`bet` is not a part of a finding"),
        (
            TRIAL,
            "request beta efort-2025-11-24 dropped",
            "looks like a misspelt beta",
        ),
        (TRIAL, "expectation words::reply", "cannot have the finding"),
        (TRIAL, "expectation text::nosuch", "cannot have the finding"),
        (
            "text::azure::haiku",
            "reply",
            "`text::azure::haiku` is not applicable: no Claude there",
        ),
    ] {
        let ran = small.compat(&searching(trial, finding)).await;
        ran.exits(1);
        ran.err_has(expected);
    }
    assert_eq!(index.targets().len(), 0, "no version was looked for");
}

#[tokio::test]
async fn it_skips_what_is_not_the_gateways_fault() {
    let (small, _index) = project().await;
    // 1.4.0 refuses for a budget. What 1.5.0 and 1.6.0 answer is the gateway's fault.
    let refusal = r#"400 {"error":{"message":"Budget has been exceeded! Current cost: 12.5, Max budget: 10.0","code":"400"}}"#;
    let gateway = env!("CARGO_BIN_EXE_fake-gateway");
    let of_its_own = format!("  1.4.0) FAKE_ANSWER='{refusal}' exec {gateway} \"$@\" ;;\n  1.5.0|1.6.0)");
    let uv = small.read("bin/uv");
    let changed = uv.replace("  1.4.0|1.5.0|1.6.0)", &of_its_own);
    assert_ne!(uv, changed);
    write_program(&small.path("bin/uv"), &changed);
    let line = ["bisect", TRIAL, "--good", "1.0.0", "--bad", "1.6.0"];
    let ran = small.compat(&line).await;
    ran.exits(0);
    ran.out_has("last without:  litellm 1.1.0\nfirst with:    litellm 1.5.0", 1);
    let skipped = "skipped:       1.4.0: the trial could not be judged (account): ";
    assert_has(&ran.out, skipped);
    assert_has(&ran.out, "Budget has been exceeded!");
    ran.err_has("1.6.0 shows:\n  ");
    // Its broken expectations say nothing about the gateway either.
    let line = [
        "bisect",
        TRIAL,
        "--finding",
        "run",
        "--good",
        "1.0.0",
        "--bad",
        "1.4.0",
    ];
    let ran = small.compat(&line).await;
    ran.exits(1);
    ran.err_has("`--bad 1.4.0` cannot be judged: the trial could not be judged (account): ");
}

#[tokio::test]
async fn an_end_may_be_a_pre_release() {
    let (small, _index) = project().await;
    let ran = small
        .compat(&["bisect", TRIAL, "--good", "1.1.0", "--bad", "1.6.0rc1"])
        .await;
    // The double of 1.6.0rc1 works.
    ran.exits(1);
    ran.err_has("litellm: 6 versions from 1.1.0 to 1.6.0rc1");
    ran.err_has("`--bad 1.6.0rc1` does not have a failed trial");
}
