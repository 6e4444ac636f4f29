//! Texts of files and of the command line reach the terminal without characters that control it.

use crate::support::small_project::Small;
use crate::support::text::{assert_has, assert_lacks};

/// A colour, a title of the terminal, and a change of direction.
const CONTROLS: &str = "a\u{1b}[31mred\u{1b}]0;title\u{7}\u{202e}gnp";

#[tokio::test]
async fn no_command_prints_controls_of_files_or_arguments() {
    let small = Small::new();
    let reason = r#"not_applicable: "a\e[31mred\e]0;title\a\u202Egnp https://a.example""#;
    small.write("cells/text/azure.yaml", &format!("{reason}\n"));
    small.write(&format!("cells/text/{CONTROLS}.yaml"), "prompt: ping\n");
    let ran = small.run(&["--ignored", "text"]).await;
    ran.out_has(
        "not applicable: 2 trials of azure (ared\u{fffd}gnp https://a.example)",
        1,
    );
    let mut texts = vec![ran.out, ran.err];
    let flag = format!("--{CONTROLS}");
    for arguments in [&[&*flag][..], &["--gateway", CONTROLS], &["--shard", CONTROLS]] {
        let ran = small.run(arguments).await;
        ran.exits(2);
        texts.push(ran.err);
    }
    for arguments in [
        &["check"][..],
        &["explain", "text::azure"],
        &["explain", CONTROLS],
        &["show", CONTROLS],
        &["results", "show", CONTROLS],
        &["run", CONTROLS],
        &["run", "--gateway", CONTROLS],
        &["bisect", CONTROLS, "--good", "1", "--bad", "2"],
    ] {
        let ran = small.compat(arguments).await;
        let shown = format!("{}{}", ran.out, ran.err);
        assert!(!shown.is_empty(), "{arguments:?}");
        texts.push(shown);
    }
    for text in texts {
        for control in ['\u{1b}', '\u{7}', '\u{202e}'] {
            assert!(!text.contains(control), "{control:?} in {text:?}");
        }
    }
    // A program gets the text as it is.
    let explained = small.compat(&["explain", "text::azure", "--json"]).await;
    explained.exits(0);
    assert_has(&explained.out, "\u{202e}gnp");
    assert_lacks(&explained.out, "\u{fffd}");
}
