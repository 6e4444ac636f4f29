//! `gateways/<name>.yaml`: each mistake is an error at its place.

use crate::support::project::copy_of_this_project;
use crate::support::text::assert_has;

#[test]
fn mistakes_in_known_findings_are_explained() {
    let litellm = "gateways/litellm.yaml";
    let cases = [
        (
            "expectation tool_use::tokens_counted\n",
            "expectation tool_use::tokens_countedd\n",
            "did you mean `tokens_counted`?",
        ),
        (
            "expectation tool_use::tokens_counted\n",
            "expectation tokens_counted\n",
            "no cell of a row has the expectation `tokens_counted`",
        ),
        (
            "expectation tool_use::tokens_counted\n",
            "expectation tool_usee::tokens_counted\n",
            "no cell of `tool_usee` has the expectation",
        ),
        (
            "docs/findings/litellm-max-tokens-on-vertex.md",
            "docs/findings/x.md",
            "there is no page `docs/findings/x.md`",
        ),
        (
            "docs/findings/litellm-max-tokens-on-vertex.md",
            "docs/findings/../cells.md",
            "there is no page",
        ),
        (
            "https://github.com/BerriAI/litellm/issues/15473",
            "https://",
            "has no host",
        ),
        (
            "request field max_tokens changed",
            "request beta effort-2025-11-24 dropped",
            "`effort_beta_on_vertex` declares the same finding",
        ),
        (
            "request field max_tokens changed",
            "request bet x changed",
            "unknown variant `bet`",
        ),
    ];
    let folder = copy_of_this_project();
    for page in [
        "litellm-thinking-display-beta.md",
        "litellm-max-tokens-on-vertex.md",
        "litellm-system-entries-on-converse.md",
        "litellm-token-count-on-mantle.md",
    ] {
        folder.write(&format!("docs/findings/{page}"), "# A finding\n");
    }
    let original = std::fs::read_to_string(crate::support::root().join(litellm)).unwrap();
    folder.write(litellm, &original);
    let check = || folder.compat(&["check", "gateways"]).out;
    assert_eq!(check(), "", "{original}");
    for (right, wrong, expected) in cases {
        assert!(original.contains(right), "{right}");
        let mut text = original.replacen(right, wrong, 1);
        if expected.contains("declares the same") {
            let other = "tiers: [haiku]\n    versions: '=1.98.0'";
            assert!(text.contains(other));
            text = text.replacen(other, "versions: '>=1.98.0, <=1.106.2'", 1);
        }
        folder.write(litellm, &text);
        let shown = check();
        assert_has(&shown, expected);
        assert_has(&shown, "--> gateways/litellm.yaml:");
    }
    folder.write(litellm, &original);
    for name in ["other.yml", "Bad Name.yaml"] {
        folder.write(&format!("gateways/{name}"), "name: X\n");
        assert_has(&check(), &format!("--> gateways/{name}"));
        std::fs::remove_file(folder.path(&format!("gateways/{name}"))).unwrap();
    }
}
