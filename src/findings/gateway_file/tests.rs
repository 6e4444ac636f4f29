//! Mistakes in a file of `gateways/`, each with its place.

use super::*;
use crate::ids::TierId;

const FILE: &str = include_str!("../../../tests/fixtures/gateway-with-one-finding.yaml");

/// The place, message, found, allowed and hint of each error of the sample file after `changes`.
fn errors(changes: &[(&str, &str)]) -> Vec<String> {
    let file = FILE
        .replace("'SUBJECT'", "request beta x dropped")
        .replace("PROVIDER", "vertex_ai")
        .replace("TIER", "haiku");
    let text = changes.iter().fold(file, |text, (right, wrong)| {
        assert!(text.contains(right), "{right}");
        text.replacen(right, wrong, 1)
    });
    let providers = ["anthropic", "vertex_ai"].map(ProviderId::new);
    let tiers = ["haiku", "sonnet"].map(TierId::new);
    let file = Path::new("gateways/example.yaml");
    let names = MatrixNames {
        providers: &providers,
        features: &[FeatureId::new("vision")],
        tiers: &tiers.into_iter().collect(),
    };
    let found = GatewayDescription::parse(file, text.as_bytes(), names);
    let in_words = |error: &Diagnostic| {
        let parts = [
            Some(&error.message),
            error.found.as_ref(),
            error.allowed.as_ref(),
            error.hint.as_ref(),
        ];
        let parts: Vec<&str> = parts.into_iter().flatten().map(String::as_str).collect();
        format!(
            "{}:{}: {}",
            error.place.line,
            error.place.column,
            parts.join(" | ")
        )
    };
    found.err().unwrap_or_default().iter().map(in_words).collect()
}

#[test]
fn each_mistake_has_its_place_and_a_way_out() {
    let shows = "[request beta x dropped]";
    let versions = "'>=1.2.0, <=1.2.9'";
    let link = "https://example.org/issues/1";
    let name = "findings:\n  forgotten:";
    for ((right, wrong), expected) in [
        (
            (shows, "[request bet x dropped]"),
            "4:13: `bet` is not a part of a finding | `request bet x dropped` | `request`, `status`, ",
        ),
        ((shows, "[request bet x dropped]"), "| did you mean `beta`?"),
        ((shows, "[request beta x droped]"), "| did you mean `dropped`?"),
        (
            (shows, "[request beta efort-2025-11-24 dropped]"),
            "| did you mean `effort-2025-11-24`?",
        ),
        (
            (shows, "[request field count_tokens.thinkng dropped]"),
            "| did you mean `thinking`?",
        ),
        ((shows, "[expectaton a]"), "| did you mean `expectation`?"),
        (
            (shows, "[nonsense, request beta x dropped]"),
            "4:13: `nonsense` is not the first word of a finding | `nonsense` | `request`, `reply`, `expectation`",
        ),
        (
            (shows, "[expectation a b]"),
            "4:13: this is not the subject of a finding | `expectation a b` | `request PART PATH FATE`, ",
        ),
        (
            (shows, "[reply error the error's shape changed]"),
            "4:13: no finding about `reply error` has the name `the error's shape` | `reply error the error's shape changed` | \
             `the shape of error STATUS`, `the message of error STATUS`, ",
        ),
        (
            (shows, "[reply error the typ of error 413 changed]"),
            "| did you mean `the type of error STATUS`?",
        ),
        (
            (shows, "[reply event message_strat dropped]"),
            "| did you mean `message_start`?",
        ),
        (
            (shows, "[reply beta x dropped]"),
            "4:13: `reply beta` does not exist: a reply has no such part | `reply beta x dropped` | `request PART PATH FATE`",
        ),
        (
            (shows, "[expectation vision::*]"),
            "4:13: a `*` in an expectation's name would hide what breaks next | `expectation vision::*` | the whole name; \
             `*` may stand for the row",
        ),
        (
            (shows, "[request beta x dropped, request beta x dropped]"),
            "4:37: `request beta x dropped` is there twice",
        ),
        (
            (shows, "[request beta x dropped, request beta * dropped]"),
            "4:37: `request beta * dropped` is there twice",
        ),
        (
            ("[vertex_ai]", "[vertex]"),
            "5:17: the manifest has no provider `vertex` | `anthropic`, `vertex_ai` | did you mean `vertex_ai`?",
        ),
        (
            ("[haiku]", "[haiku, haiku]"),
            "6:20: the tier `haiku` is there twice",
        ),
        (
            (versions, "newest"),
            "7:15: not a range of versions: unexpected character 'n'",
        ),
        ((versions, "newest"), "such as `=1.98.0` or `>=1.98.0, <=1.106.2`"),
        (
            (versions, "1.98.0"),
            "7:15: a comparison needs one of five signs | `1.98.0` | comparisons by `=`",
        ),
        (
            (versions, "'>=2, <1'"),
            "7:15: no version is in this range | `>=2, <1`",
        ),
        (
            ("name: Example", "name: Example\nmeasured: [1.2.0, newest]"),
            "2:19: `newest` is not a version | the numbers of a release",
        ),
        (
            ("name: Example", "name: Example\nmeasured: [1.2.0, v1.2.0]"),
            "2:19: the version `v1.2.0` is there twice",
        ),
        (
            ("name: Example", "name: Example\nmeasured: [1.1.0]"),
            "8:15: no measured version is in this range | `>=1.2.0, <=1.2.9` | `1.1.0` | measure a version",
        ),
        (
            (link, "example.org"),
            "10:11: this is neither a public address nor a page of this repository | `example.org` | the address of a \
             public report, `https://…`",
        ),
        ((link, "https://"), "10:11: the link has no host"),
        (
            (link, "docs/findings/../x.md"),
            "10:11: this is neither a public address nor a page",
        ),
        (
            (link, "docs/findings/x.txt"),
            "10:11: this is neither a public address nor a page",
        ),
        ((link, "https://example.org/a b"), "10:11: a link has no spaces"),
        (
            (name, "findings:\n  Forgotten:"),
            "3:3: `Forgotten` is not a name | lower-case letters, digits and `_`",
        ),
    ] {
        let found = errors(&[(right, wrong)]);
        assert_eq!(found.len(), 1, "{wrong}: {found:#?}");
        assert!(found[0].contains(expected), "{wrong}: {found:#?}");
    }
    for right in [
        "request beta x dropped",
        "reply status HTTP status 5* changed",
        "reply error the * of error 413 changed",
        "reply header anthropic-ratelimit-unified-5h-reset dropped",
        "reply event a_new_event added",
        "expectation *::run",
    ] {
        assert_eq!(errors(&[(shows, &format!("['{right}']"))]), [""; 0], "{right}");
    }
}

#[test]
fn each_mistake_of_an_entry_has_its_place() {
    let errors = |entry: &str| errors(&[("name: Example\n", &format!("name: Example\n{entry}"))]);
    let npm = "install: {npm: example, version: 1.0.0}\n";
    let start = "start: {command: [node, '{{ install }}/server.js']}\nready: /health\n";
    for (entry, expected) in [
        (
            "install: {}\n",
            "2:1: exactly one source is needed | `npm`, `pypi`, `tool` or `built_in`",
        ),
        ("install: {npm: example}\n", "2:1: the package has no `version`"),
        (npm, "2:1: the gateway has no `start`"),
        ("ready: /health\n", "2:1: `ready` needs `install`"),
        (
            "install: {built_in: transparent, version: 1.0.0}\n",
            "2:43: only `npm` and `pypi` have a version",
        ),
        (
            "install: {built_in: other}\n",
            "2:21: the text `other` is not known here | `transparent`",
        ),
        (
            "configurations: {a: {about: A.}}\n",
            "2:1: `configurations` needs `install`",
        ),
        (
            "install: {tool: litellm}\nconfigurations: {default: {about: A., unset: [X]}}\n",
            "3:18: `default` cannot be the name of a configuration",
        ),
        (
            "install: {tool: litellm}\nconfigurations: {a: {about: A.}}\n",
            "3:18: this configuration changes nothing",
        ),
        (
            "install: {tool: litellm}\nconfigurations: {a: {about: A., environment: {X: '{{ bad'}}}\n",
            "3:50: the template cannot be filled",
        ),
        (
            "install: {tool: litellm}\nconfigurations: {a: {about: A., configure: {x: y}}}\n",
            "LiteLLM's file is `proxy_config.yaml`",
        ),
        (
            "install: {built_in: transparent}\nconfigurations: {a: {about: A., settings: {x: {y: 1}}}}\n",
            "only LiteLLM has `settings`",
        ),
        (
            "install: {tool: litellm}\nconfigurations: {a: {about: A., environment: {X: '{{ key }} {{ port }}'}}}\n",
            "3:50: the template cannot be filled: undefined value in `{{ key }} {{ port }}`",
        ),
        (
            "install: {tool: litellm}\nconfigurations: {a: {about: A., environment: {'A B=': x}}}\n",
            "3:47: `A B=` cannot be the name of a variable | letters, digits and `_`, no digit first",
        ),
        (
            "install: {tool: litellm}\nconfigurations: {a: {about: A., environment: {'': x}}}\n",
            "3:47: `` cannot be the name of a variable",
        ),
        (
            "install: {built_in: transparent}\nconfigurations: {a: {about: A., environment: {X: y}}}\n",
            "3:1: a gateway of this program has no settings",
        ),
        ("lacks: [{reason: Why.}]\n", "2:18: this lacks the whole matrix"),
        (
            "lacks: [{features: [visoin], reason: Why.}]\n",
            "2:21: the manifest has no feature `visoin` | `vision` | did you mean `vision`?",
        ),
    ] {
        let found = errors(entry);
        assert!(
            found.iter().any(|error| error.contains(expected)),
            "{entry}: {found:#?}"
        );
    }
    let whole = format!("{npm}{start}");
    assert_eq!(errors(&whole), [""; 0]);
    for (wrong, expected) in [
        (
            "configure:\n  home/a.json: |\n    {\n      {{ prot }}\n    }\n",
            "8:7: the template cannot be filled: `prot` is undefined (did you mean `port`?)",
        ),
        (
            "configure: {../a: x}\n",
            "5:13: `../a` is not a path in the gateway's own folder",
        ),
        (
            "client: {headers: {x-a: '{{ providers[column].keys }}'}}\n",
            "5:25: the template cannot be filled",
        ),
        (
            "client: {headers: {x-a: \"a\\n\\n{{ bad\"}}\n",
            "5:25: the template cannot be filled",
        ),
        (
            "client: {headers: {'x a': b}}\n",
            "5:20: `x a` is not the name of a header",
        ),
        (
            "client: {headers: {x-a: b, Content-Length: '5'}}\n",
            "5:28: the header `Content-Length` cannot be set here: the connection and the body decide its value | headers that",
        ),
        (
            "client: {headers: {anthropic-beta: b}}\n",
            "5:20: the header `anthropic-beta` cannot be set here: it is Claude Code's own",
        ),
        (
            "client: {headers: {x-a: b, X-A: c}}\n",
            "5:28: the header `X-A` is there twice",
        ),
        (
            "configure: {a.json: x}\nconfigurations: {a: {about: A., configure: {b.json: y}}}\n",
            "6:45: the gateway has no file `b.json` to replace | `a.json`",
        ),
        (
            "configurations: {a: {about: A., unset: [X]}}\n",
            "5:41: `start` sets no variable `X` | none: the gateway has none",
        ),
    ] {
        let found = errors(&format!("{whole}{wrong}"));
        assert!(
            found.iter().any(|error| error.contains(expected)),
            "{wrong}: {found:#?}"
        );
    }
}

#[test]
fn two_declarations_of_a_version_and_a_subject_are_refused() {
    let (_, first) = FILE.split_once("findings:\n").unwrap();
    let second = first
        .replace("forgotten", "again")
        .replace("'SUBJECT'", "request beta * dropped")
        .replace("PROVIDER", "vertex_ai")
        .replace("TIER", "haiku");
    let end = "link: https://example.org/issues/1\n";
    let with = |right: &str, wrong: &str| {
        assert!(second.contains(right), "{right}");
        errors(&[(end, &format!("{end}{}", second.replacen(right, wrong, 1)))])
    };
    for (right, wrong) in [
        ("again", "again"),
        ("'>=1.2.0, <=1.2.9'", "=1.2.5"),
        ("'>=1.2.0, <=1.2.9'", "'>=1.2.9'"),
        ("    tiers: [haiku]\n", ""),
    ] {
        let found = with(right, wrong);
        assert_eq!(found.len(), 1, "{wrong}: {found:#?}");
        assert!(
            found[0].starts_with("12:13: `forgotten` declares the same finding for a version of both"),
            "{wrong}: {found:#?}"
        );
    }
    for (right, wrong) in [
        ("'>=1.2.0, <=1.2.9'", "'>=1.2.10'"),
        ("[haiku]", "[sonnet]"),
        ("[vertex_ai]", "[anthropic]"),
        ("beta * dropped", "field * dropped"),
    ] {
        assert_eq!(with(right, wrong), [""; 0], "{wrong}");
    }
    let litellm = "name: Example\ninstall: {tool: litellm}\nconfigurations: {bearer: {about: A., environment: {X: y}}}\n";
    for (one, other, is_refused) in [
        ("[default]", "[bearer]", false),
        ("[default, bearer]", "[bearer]", true),
    ] {
        let second = second.replacen(end, &format!("configurations: {other}\n    {end}"), 1);
        let both = format!("configurations: {one}\n    {end}{second}");
        let found = errors(&[("name: Example\n", litellm), (end, &both)]);
        assert_eq!(!found.is_empty(), is_refused, "{other}: {found:#?}");
    }
}
