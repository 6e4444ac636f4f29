//! The matrix: building, comparing, rendering.

use std::collections::HashMap;
use std::path::Path;

use compat_matrix::cells::Manifest;
use compat_matrix::ids::{CellId, FeatureId, ProviderId};
use compat_matrix::matrix::builder::{Stamp, build};
use compat_matrix::matrix::diff::{ChangeKind, Diff};
use compat_matrix::matrix::feed;
use compat_matrix::matrix::history::History;
use compat_matrix::matrix::{Details, ManifestView, Matrix, html, markdown, schema, terminal};
use compat_matrix::outcome::{Cause, Outcome};
use compat_matrix::report::Paint;
use compat_matrix::results::{CellStatus, Results};
use unicode_width::UnicodeWidthStr;

use crate::support::sample_run::{failure, manifest, results, run, time, trial};
use crate::support::text::{assert_has, assert_starts};
use crate::support::{MATRIX, RESULTS};

pub fn stamp() -> Stamp {
    Stamp {
        generated_at: time("2026-11-21T09:00:00Z"),
        litellm_version: "v1.106.0".into(),
        claude_code_version: "2.1.326".into(),
    }
}

/// The matrix and the details of the sample run.
fn built() -> (Matrix, Details) {
    let (manifest, results) = (manifest(), results());
    let matrix = build(&manifest, &results, &stamp()).unwrap();
    (matrix, Details::build(&manifest, &results, &stamp()).unwrap())
}

/// One feature on one provider, on three tiers.
pub fn one_cell() -> ManifestView {
    let mut view = manifest();
    view.features.retain(|(id, _)| id.as_str() == "vision");
    view.providers.retain(|id| id.as_str() == "anthropic");
    view
}

/// A run of the one cell. A letter is the result of a tier: p, f, g, n, or `-` for not tried.
pub fn run_of(tiers: &str) -> Results {
    let tiers = tiers.chars().zip(["haiku", "sonnet", "opus"]);
    let records: Vec<_> = tiers
        .filter_map(|(letter, tier)| {
            let outcome = match letter {
                'p' => Outcome::Pass,
                'f' => Outcome::Fail(failure(Cause::Gateway, "the image is lost")),
                'g' => Outcome::Fail(failure(Cause::Upstream, "the provider is down")),
                'n' => Outcome::NotApplicable("no images there".into()),
                _ => return None,
            };
            Some(trial(&format!("vision::anthropic::{tier}"), outcome))
        })
        .collect();
    Results::new(run(records.len()), records)
}

fn aggregated(tiers: &str) -> CellStatus {
    let matrix = build(&one_cell(), &run_of(tiers), &stamp()).unwrap();
    let (_, _, status) = matrix.cells().next().unwrap();
    status.clone()
}

/// A matrix of one row from pairs of provider and status: `!` fail, `+` pass, `-` not applicable, `?` not tested.
pub fn row(cells: &[(&str, &str)]) -> Matrix {
    let status = |sign: &str| match sign {
        "+" => r#"{"status": "pass"}"#.to_owned(),
        "?" => r#"{"status": "not_tested"}"#.to_owned(),
        sign if sign.starts_with('!') => format!(r#"{{"status": "fail", "error": "haiku: {}"}}"#, &sign[1..]),
        sign => format!(r#"{{"status": "not_applicable", "reason": "{}"}}"#, &sign[1..]),
    };
    let columns: Vec<String> = cells
        .iter()
        .map(|(provider, _)| format!("\"{provider}\""))
        .collect();
    let statuses: Vec<String> = cells
        .iter()
        .map(|(provider, sign)| format!("\"{provider}\": {}", status(sign)))
        .collect();
    let text = format!(
        r#"{{"schema_version": "1", "generated_at": "2026-11-20T09:00:00Z", "litellm_version": "v1.105.0",
        "claude_code_version": "2.1.325", "providers": [{}],
        "features": [{{"id": "vision", "name": "Vision", "providers": {{{}}}}}]}}"#,
        columns.join(", "),
        statuses.join(", ")
    );
    Matrix::parse(&text).unwrap()
}

#[test]
fn the_sample_matrix_is_built_from_the_fixture() {
    let manifest =
        Manifest::parse(Path::new("manifest.yaml"), include_bytes!("../../manifest.yaml")).unwrap();
    let results = Results::parse(RESULTS).unwrap();
    let stamp = Stamp::new(&results, None, None, None).unwrap();
    let built = build(&ManifestView::of_part(&manifest, Some("v0")), &results, &stamp)
        .unwrap()
        .to_text();
    assert_eq!(
        built, MATRIX,
        "run `compat matrix build --matrix v0 --results tests/fixtures/results-of-90-trials.json \
         --output sample_compatibility-matrix.json --no-details`"
    );
    assert_eq!(Matrix::parse(MATRIX).unwrap().to_text(), MATRIX);
}

#[test]
fn the_status_of_a_cell_follows_from_its_tiers() {
    let table = [
        ("ppp", "pass"),
        ("ppn", "pass"),
        ("npn", "pass"),
        ("nnn", "not_applicable"),
        ("pfp", "fail"),
        ("nfn", "fail"),
        ("f--", "fail"),
        ("pp-", "not_tested"),
        ("n--", "not_tested"),
        ("pn-", "not_tested"),
        ("---", "not_tested"),
    ];
    for (tiers, expected) in table {
        assert_eq!(aggregated(tiers).word().as_str(), expected, "{tiers}");
    }
}

#[test]
fn the_error_names_every_failed_tier_in_order() {
    let text = |tiers| aggregated(tiers).text().unwrap().to_owned();
    assert_starts(
        &text("pfp"),
        "sonnet: the image is lost\nexpected: an `image/png` block",
    );
    assert_starts(&text("fpf"), "haiku, opus: the image is lost\n");
    let two = text("gfp");
    assert!(
        two.starts_with("haiku: the provider is down\n") && two.contains("\nsonnet: the image is lost\n"),
        "{two}"
    );
    assert_has(&two, "cause: upstream (");
    assert_has(&two, "cause: gateway (");
}

#[test]
fn a_result_outside_the_manifest_is_an_error_with_suggestion() {
    let error = |name: &str| {
        let results = Results::new(run(1), vec![trial(name, Outcome::Pass)]);
        build(&manifest(), &results, &stamp()).unwrap_err().to_string()
    };
    let feature = error("tool_us::anthropic::haiku");
    assert_starts(
        &feature,
        "results[0].feature_id: the manifest has no `tool_us`, it has `basic",
    );
    assert!(feature.ends_with(": did you mean `tool_use`?"), "{feature}");
    assert_eq!(
        error("vision::anthropic::mythos"),
        "results[0].tier: the manifest has no `mythos`, it has `haiku`, `sonnet`, `opus`"
    );
    assert_starts(
        &error("vision::vertex::haiku"),
        "results[0].provider: the manifest has no `vertex`",
    );
}

#[test]
fn versions_come_from_the_results_or_from_flags() {
    let mut results = results();
    let from_results = Stamp::new(&results, None, None, None).unwrap();
    assert_eq!(from_results, stamp());
    let given = Stamp::new(
        &results,
        Some("v1.83.0-stable".into()),
        Some("2.1.120".into()),
        None,
    )
    .unwrap();
    assert_eq!(
        (given.litellm_version.as_str(), given.claude_code_version.as_str()),
        ("v1.83.0-stable", "2.1.120")
    );
    results.run.gateway.version = None;
    let error = Stamp::new(&results, None, None, None).unwrap_err().to_string();
    assert_eq!(
        error,
        "the results do not say which version of LiteLLM ran: give `--litellm-version`"
    );
}

#[test]
fn each_error_in_a_matrix_has_its_position() {
    let once = |from: &str, to: &str| {
        assert!(MATRIX.contains(from), "{from}");
        MATRIX.replacen(from, to, 1)
    };
    let table = [
        (
            once(r#""schema_version": "1""#, r#""schema_version": "2""#),
            r#"line 2, column 21: `schema_version` is `"2"`"#,
        ),
        (
            once(r#""litellm_version": "v1.106.0""#, r#""litellm_version": 1"#),
            "line 4, column 22: invalid type: integer `1`, expected a string",
        ),
        (
            once(r#""litellm_version": "v1.106.0""#, r#""litellm_version": """#),
            "line 4, column 22: litellm_version: empty",
        ),
        (
            once(r#""claude_code_version": "2.1.326","#, ""),
            ": missing field `claude_code_version`",
        ),
        (
            once(r#""2026-11-21T09:00:00Z""#, r#""yesterday""#),
            "`yesterday` is not a UTC time such as",
        ),
        (
            once(r#""name": "Vision""#, r#""name": " ""#),
            "features[4].name: empty",
        ),
        (
            once(r#""anthropic","#, r#""anthropic", "anthropic","#),
            "providers[1]: `anthropic` is there twice",
        ),
        (
            once(r#""anthropic","#, ""),
            "features[0].providers: `anthropic` is not one of the matrix's `providers`",
        ),
        (
            once(r#""anthropic","#, r#""anthropic", "gemini","#),
            "features[0].providers: no cell for `gemini`",
        ),
        (
            once(r#""id": "vision""#, r#""id": "tool_use""#),
            "line 103, column 13: features[4].id: `tool_use` is there twice",
        ),
        (
            once(r#""bedrock_invoke": {"#, r#""anthropic": {"#),
            ": key `anthropic` is there twice",
        ),
        (
            once(r#""status": "pass""#, r#""status": "passed""#),
            "unknown status `passed`, expected one of",
        ),
        (
            once(r#""status": "pass""#, r#""status": "fail", "error": """#),
            "`fail` has an `error`, not empty",
        ),
        (
            once(r#""status": "pass""#, r#""status": "pass", "note": 1"#),
            "unknown field `note`",
        ),
        (
            once(r#""id": "vision","#, r#""id": "vision", "link": "x","#),
            "unknown field `link`, expected one of `id`",
        ),
        (MATRIX[..MATRIX.len() / 2].to_owned(), "EOF while parsing"),
    ];
    for (text, expected) in table {
        let error = Matrix::parse(&text).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}\n  not\n{expected}");
    }
}

#[test]
fn every_schema_matches_the_files() {
    let (built, details) = built();
    let diff = Diff::new(
        &row(&[("anthropic", "+"), ("gone", "!x")]),
        &built,
        Some(&details),
    );
    let sample = Matrix::parse(MATRIX).unwrap();
    let history = History::new([("a", MATRIX), ("b", "{}")]);
    let written = [
        ("compat-results.schema.json", results().to_text()),
        ("compat-results.schema.json", RESULTS.to_owned()),
        ("compatibility-matrix.schema.json", built.to_text()),
        ("compatibility-matrix.schema.json", sample.to_text()),
        ("compatibility-details.schema.json", details.to_text()),
        ("matrix-diff.schema.json", diff.to_text()),
        ("compatibility-history.schema.json", history.to_text()),
    ];
    let schemas = schema::files();
    for (name, text) in &written {
        let (_, schema) = schemas.iter().find(|(other, _)| other == name).unwrap();
        let validator = jsonschema::validator_for(&serde_json::from_str(schema).unwrap()).unwrap();
        let value: serde_json::Value = serde_json::from_str(text).unwrap();
        validator
            .validate(&value)
            .unwrap_or_else(|error| panic!("{name}: {error} at {}", error.instance_path()));
        let mut surplus = value;
        surplus["surplus"] = true.into();
        assert!(!validator.is_valid(&surplus), "{name} allows an unknown key");
    }
}

#[test]
fn the_details_have_every_tier_of_every_cell() {
    let (_, details) = built();
    let text = details.to_text();
    assert_eq!(Details::parse(&text).unwrap(), details);
    assert_eq!(text.matches("\"nodeid\"").count(), 90);
    let tiers = |feature: &str, provider: &str| {
        let cell = CellId::new(&FeatureId::new(feature), &ProviderId::new(provider));
        details.tiers(&cell)
    };
    let shown = serde_json::json!({
        "flaky": tiers("tool_use", "anthropic")[0],
        "mixed": tiers("vision", "vertex_ai"),
    });
    insta::assert_snapshot!(serde_json::to_string_pretty(&shown).unwrap());
}

#[test]
fn every_change_has_its_kind() {
    let table = [
        ("+", "!x", Some(ChangeKind::Regression)),
        ("!x", "+", Some(ChangeKind::Fix)),
        ("+", "?", Some(ChangeKind::Greyed)),
        ("!x", "-n", Some(ChangeKind::Greyed)),
        ("?", "+", Some(ChangeKind::Tested)),
        ("-n", "!x", Some(ChangeKind::Tested)),
        ("!x", "!y", Some(ChangeKind::Reworded)),
        ("?", "-n", Some(ChangeKind::Reworded)),
        ("+", "+", None),
        ("!x", "!x", None),
        ("?", "?", None),
    ];
    for (old, new, expected) in table {
        let diff = Diff::new(&row(&[("a", old)]), &row(&[("a", new)]), None);
        assert_eq!(
            diff.changes.first().map(|change| change.kind),
            expected,
            "{old} {new}"
        );
        assert_eq!(diff.has_regressions(), expected == Some(ChangeKind::Regression));
        assert_eq!(diff.unchanged, usize::from(expected.is_none()));
    }
    let moved = Diff::new(
        &row(&[("a", "+"), ("b", "!x")]),
        &row(&[("c", "!x"), ("b", "!x")]),
        None,
    );
    let kinds: Vec<_> = moved
        .changes
        .iter()
        .map(|change| (change.kind, change.provider.as_str()))
        .collect();
    assert_eq!(kinds, [(ChangeKind::New, "c"), (ChangeKind::Gone, "a")]);
    assert!(!moved.has_regressions());
}

/// A comparison that has every kind of change, and causes.
fn compared() -> Diff {
    let (new, details) = built();
    let mut old = new.clone();
    old.litellm_version = "v1.105.0".into();
    old.generated_at = time("2026-11-20T09:00:00Z");
    let mut set =
        |feature: usize, provider: usize, status| old.features[feature].providers[provider] = status;
    let error = |text: &str| CellStatus::Fail { error: text.into() };
    set(4, 3, CellStatus::Pass {});
    set(2, 0, error("haiku: claude `said` | <nothing>\nat all"));
    set(2, 1, CellStatus::NotTested {});
    set(0, 0, CellStatus::Pass {});
    set(
        4,
        4,
        CellStatus::NotApplicable {
            reason: "other words".into(),
        },
    );
    old.features[5].id = FeatureId::new("old_feature");
    old.features[5].name = "Old feature".into();
    Diff::new(&old, &new, Some(&details))
}

#[test]
fn a_comparison_lists_regressions_first_with_causes() {
    let diff = compared();
    let text = terminal::of_diff(&diff, 80, Paint::Plain);
    assert!(text.lines().all(|line| line.width() <= 80), "{text}");
    assert_eq!(
        diff.of_kind(ChangeKind::Regression).next().unwrap().causes,
        [Cause::Gateway]
    );
    insta::assert_snapshot!("diff_text", text);
    insta::assert_snapshot!("diff_markdown", markdown::of_diff(&diff));
    let json: Diff = serde_json::from_str(&diff.to_text()).unwrap();
    assert_eq!(json, diff);
}

#[test]
fn the_matrix_of_a_run_fits_eighty_columns() {
    let text = terminal::of_run(&manifest(), &results(), 80, Paint::Plain);
    assert!(text.lines().all(|line| line.width() <= 80), "{text}");
    insta::assert_snapshot!(text);
}

#[test]
fn colours_add_only_escape_sequences() {
    let plain = terminal::of_run(&manifest(), &results(), 80, Paint::Plain);
    let coloured = terminal::of_run(&manifest(), &results(), 80, Paint::Ansi);
    assert_ne!(plain, coloured);
    assert_eq!(anstream::adapter::strip_str(&coloured).to_string(), plain);
}

#[test]
fn a_published_matrix_is_shown_with_its_failures() {
    let (matrix, details) = built();
    assert!(details.belongs_to(&matrix));
    let text = terminal::of_matrix(&matrix, Some(&details), 80, Paint::Plain);
    assert!(text.lines().all(|line| line.width() <= 80), "{text}");
    insta::assert_snapshot!("show_text", text);
    insta::assert_snapshot!("show_markdown", markdown::of_matrix(&matrix, Some(&details)));
    insta::assert_snapshot!(
        "show_html",
        html::of_run(&matrix, Some(&details), &HashMap::new())
    );
}

/// The page of a run of the one cell, and its Markdown, with these outcomes on the first tiers.
fn page_of(outcomes: Vec<Outcome>, gateway: &str) -> (String, String) {
    let tiers = ["haiku", "sonnet", "opus"].into_iter().zip(outcomes);
    let records: Vec<_> = tiers
        .map(|(tier, outcome)| trial(&format!("vision::anthropic::{tier}"), outcome))
        .collect();
    let mut results = Results::new(run(records.len()), records);
    results.run.gateway.name = Some(gateway.to_owned());
    let manifest = one_cell().of_tried_tiers(&results);
    let matrix = build(&manifest, &results, &stamp()).unwrap();
    let details = Details::build(&manifest, &results, &stamp()).unwrap();
    let page = html::of_run(&matrix, Some(&details), &HashMap::new());
    (page, markdown::of_matrix(&matrix, Some(&details)))
}

#[test]
fn the_page_has_a_mark_for_each_tier_that_ran() {
    let unfaithful = || Outcome::Unfaithful(failure(Cause::Gateway, "the image is altered"));
    let (page, markdown) = page_of(vec![unfaithful()], "claude_gateway");
    assert_has(&markdown, "\n\nclaude\\_gateway 1.106.0, Claude Code 2.1.326");
    assert_has(&markdown, "| Vision | ✅\\* |\n");
    assert_has(&markdown, "0 not tested; \\* 1 works, unfaithful\n");
    assert_has(
        &page,
        "<p class=\"facts\">claude_gateway 1.106.0, Claude Code 2.1.326",
    );
    assert_has(&page, "<br>Tier: haiku.</p>");
    assert_has(&page, "✓* works, unfaithful · ~ flaky");
    assert_has(&page, "<h3>✓* Vision, anthropic: works, unfaithful</h3>");
    assert!(!page.contains("LiteLLM"), "{page}");
    assert!(!page.contains("sonnet"), "{page}");

    let upstream = Outcome::Fail(failure(Cause::Upstream, "the provider is down"));
    let (page, _) = page_of(vec![Outcome::Pass, unfaithful(), upstream], "litellm");
    assert_has(&page, "<p class=\"facts\">LiteLLM v1.106.0, Claude Code 2.1.326");
    let heading = "<h3>✓ ✓* ! Vision, anthropic: pass; works, unfaithful; could not be judged</h3>";
    assert_has(&page, heading);
    assert_has(&page, "<br>Tiers: haiku, sonnet, opus. Where they differ");
}

#[test]
fn a_cell_that_the_run_left_out_has_its_reason() {
    let (mut results, why) = (run_of("n--"), "A live run does not test this.");
    let row = [(ProviderId::new("anthropic"), why.to_owned())].into();
    results.run.left_out.insert(FeatureId::new("vision"), row);
    let matrix = build(&one_cell(), &results, &stamp()).unwrap();
    let details = Details::build(&one_cell(), &results, &stamp()).unwrap();
    assert_eq!(Details::parse(&details.to_text()).unwrap(), details);
    let page = html::of_run(&matrix, Some(&details), &HashMap::new());
    assert_has(&page, &format!("<pre>{why}</pre>"));
}

#[test]
fn the_page_has_the_text_of_equal_failures_once() {
    let (mut matrix, _) = built();
    let text = "the gateway does not answer";
    for feature in &mut matrix.features {
        for status in feature.providers.values_mut() {
            *status = CellStatus::Fail { error: text.into() };
        }
    }
    let page = html::of_run(&matrix, None, &HashMap::new());
    let cells = matrix.cells().count();
    assert_eq!(page.matches(&format!("<pre>{text}</pre>")).count(), 1);
    let links = page.matches("The same failure as <a href=\"#cell-1-1\">").count();
    assert_eq!(links, cells - 1, "{page}");
}

/// Twelve columns of long names, fifty rows, errors without end, and every status.
fn huge() -> Matrix {
    let providers: Vec<String> = (0..12)
        .map(|index| format!("provider_of_some_length_{index}"))
        .collect();
    let feature = |row: usize| {
        let status = |column: usize| match (row + column) % 4 {
            0 => serde_json::json!({"status": "pass"}),
            1 => {
                serde_json::json!({"status": "fail", "error": "x".repeat(300) + "\n\u{1b}[31m<script>alert(1)</script> | a"})
            }
            2 => serde_json::json!({"status": "not_applicable", "reason": "no \"quotes\" & such"}),
            _ => serde_json::json!({"status": "not_tested"}),
        };
        let cells: serde_json::Map<_, _> = providers
            .iter()
            .enumerate()
            .map(|(column, id)| (id.clone(), status(column)))
            .collect();
        serde_json::json!({"id": format!("f{row}"), "name": format!("A feature of a long name | <b>{row}</b>"), "providers": cells})
    };
    let matrix = serde_json::json!({
        "schema_version": "1", "generated_at": "2026-07-27T06:20:47Z", "litellm_version": "v1.93.0",
        "claude_code_version": "2.1.126", "providers": providers,
        "features": (0..50).map(feature).collect::<Vec<_>>(),
    });
    Matrix::parse(&matrix.to_string()).unwrap()
}

#[test]
fn any_matrix_fits_the_terminal() {
    for width in [40, 80, 200] {
        let text = terminal::of_matrix(&huge(), None, width, Paint::Plain);
        for line in text.lines() {
            assert!(line.width() <= width, "{width}: {line}");
        }
        let diff = Diff::new(&row(&[("a", "+")]), &huge(), None);
        let text = terminal::of_diff(&diff, width, Paint::Plain);
        assert!(text.lines().all(|line| line.width() <= width));
        assert!(!text.contains('\u{1b}'));
    }
}

#[test]
fn html_is_self_contained_and_escapes_text() {
    let (built, details) = built();
    for page in [
        html::of_run(&huge(), None, &HashMap::new()),
        html::of_run(&built, Some(&details), &HashMap::new()),
    ] {
        for forbidden in "<script <link <img <iframe src= url( @import javascript: \u{1b}".split(' ') {
            assert!(!page.contains(forbidden), "{forbidden}");
        }
        for (at, _) in page.match_indices("http") {
            let allowed = [r#"<a href=""#, "<meta "]
                .iter()
                .any(|before| page[..at].ends_with(before));
            assert!(allowed, "{}", &page[at.saturating_sub(40)..at + 40]);
        }
        assert_has(&page, "default-src 'none'");
    }
    assert!(html::of_run(&huge(), None, &HashMap::new()).contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
}

#[test]
fn markdown_escapes_text() {
    assert_eq!(
        markdown::escaped("a|b\nc <d> & `e` *f* [g](h) _i_ \\ \u{1b}[1m#1 @you"),
        r"a\|b<br>c &lt;d&gt; &amp; \`e\` \*f\* \[g\](h) \_i\_ \\ \#1 @<!-- -->you"
    );
    let text = markdown::of_matrix(&huge(), None);
    let columns = |line: &str| line.replace("\\|", "").matches('|').count();
    let table: Vec<&str> = text.lines().filter(|line| line.starts_with('|')).collect();
    assert_eq!(table.len(), 52);
    assert!(table.iter().all(|line| columns(line) == 14));
}

#[test]
fn the_history_has_each_cell_and_the_unreadable_revisions() {
    let first = row(&[("a", "+"), ("b", "!x")]).to_text();
    let second = row(&[("a", "!x"), ("c", "?")]).to_text();
    let history = History::new([
        ("c1", first.as_str()),
        ("c2", "not json"),
        ("c3", second.as_str()),
    ]);
    assert_eq!(History::parse(&history.to_text()).unwrap(), history);
    insta::assert_snapshot!(history.to_text());
}

#[test]
fn the_feed_has_an_entry_for_each_change() {
    let [first, second] =
        [row(&[("a", "+"), ("b", "!x")]), row(&[("a", "!x"), ("c", "?")])].map(|matrix| matrix.to_text());
    let history = History::new([("c1", &*first), ("c2", &*first), ("c3", &*second)]);
    insta::assert_snapshot!(feed::of_history(
        &history,
        false,
        "https://docs.example.org/matrix"
    ));
    let cut = feed::of_history(&history, true, "https://docs.example.org/matrix");
    assert!(!cut.contains("the first matrix") && cut.contains("#c3"), "{cut}");
}
