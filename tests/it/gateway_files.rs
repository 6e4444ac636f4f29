//! `gateways/<name>.yaml`: each mistake is an error at its place.

use crate::support::project::copy_with_all_rows;
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
            "did you mean `tool_use`?",
        ),
        (
            "expectation tool_use::tokens_counted\n",
            "expectation *::tokens_countedd\n",
            "did you mean `tokens_counted`?",
        ),
        (
            "expectation tool_use::tokens_counted\n",
            "expectation no_row*::tokens_counted\n",
            "the manifest has no feature `no_row*`",
        ),
        (
            "expectation open_lists::field_forwarded\n",
            "expectation open_lists::beta_forwarded\n",
            "a finding of `beta_forwarded` names the change, not the expectation",
        ),
        (
            "docs/findings/litellm-max-tokens-on-vertex.md",
            "docs/findings/x.md",
            "there is no page `docs/findings/x.md`",
        ),
        (
            "request field max_tokens changed",
            "request beta effort-2025-11-24 dropped",
            "`effort_beta_on_vertex` declares the same finding",
        ),
        (
            "request field max_tokens changed",
            "request bet x changed",
            "did you mean `beta`?",
        ),
        (
            "litellm_settings: {drop_params",
            "litellm_setings: {drop_params",
            "did you mean `litellm_settings`?",
        ),
        (
            "litellm_settings: {drop_params",
            "model_list: {drop_params",
            "`model_list` is no map of `proxy_config.yaml`",
        ),
        (
            "unset: [AWS_ACCESS_KEY_ID",
            "unset: [AWS_ACCES_KEY_ID",
            "did you mean `AWS_ACCESS_KEY_ID`?",
        ),
    ];
    let folder = copy_with_all_rows();
    // The configurations of LiteLLM change values in these.
    let mut config = std::fs::read_to_string(folder.path("proxy_config.yaml")).unwrap();
    config.push_str("general_settings: {}\nlitellm_settings: {}\n");
    folder.write("proxy_config.yaml", &config);
    let pages = crate::support::root().join("docs/findings");
    for page in std::fs::read_dir(pages).expect("a folder") {
        let page = page.expect("an entry").file_name();
        folder.write(&format!("docs/findings/{}", page.display()), "# A finding\n");
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
    for (name, expected) in [
        ("other.yml", "rename it to `gateways/other.yaml`"),
        ("Bad Name.yaml", "rename it to `gateways/bad_name.yaml`"),
        ("_shared.yaml", "rename it to `gateways/shared.yaml`"),
        ("README.md", "pages about findings belong in `docs/findings/`"),
        ("sub/other.yaml", "this is a folder"),
    ] {
        folder.write(&format!("gateways/{name}"), "name: X\n");
        let entry = name.split('/').next().unwrap();
        let shown = check();
        assert_has(&shown, &format!("--> gateways/{entry}"));
        assert_has(&shown, expected);
        assert_has(&shown, "gateways/<name>.yaml");
        std::fs::remove_file(folder.path(&format!("gateways/{name}"))).unwrap();
        if entry != name {
            std::fs::remove_dir(folder.path(&format!("gateways/{entry}"))).unwrap();
        }
    }
    folder.write("gateways/other.yaml", "");
    assert_has(&check(), "--> gateways/other.yaml:1:1");
}

#[test]
fn a_broken_row_causes_no_errors_about_its_findings() {
    let folder = copy_with_all_rows();
    let litellm = "gateways/litellm.yaml";
    folder.write(
        litellm,
        &std::fs::read_to_string(crate::support::root().join(litellm)).unwrap(),
    );
    folder.write("cells/tool_use/_shared.yaml", "prompt: [\n");
    let shown = folder.compat(&["check", "gateways"]).out;
    assert!(!shown.contains("has the expectation"), "{shown}");
}

#[test]
fn a_release_has_the_pages_of_the_findings() {
    let root = crate::support::root();
    let read = |path: &std::path::Path| std::fs::read_to_string(path).expect("a text");
    let build = read(&root.join("build.rs"));
    let mut pages = vec!["prices.yaml".to_owned(), "docs/why-red.md".to_owned()];
    for file in std::fs::read_dir(root.join("gateways")).expect("a folder") {
        let text = read(&file.expect("an entry").path());
        let links = text
            .lines()
            .filter_map(|line| line.trim().strip_prefix("link: docs/"));
        pages.extend(links.map(|page| format!("docs/{page}")));
    }
    assert!(pages.len() > 2, "no finding links to a page");
    for page in pages {
        let folder = page.rsplit_once('/').map_or("", |(folder, _)| folder);
        let is_built_in = [&*page, folder]
            .iter()
            .any(|path| build.contains(&format!("{path:?}")));
        assert!(is_built_in, "{page}");
    }
}
