//! `proxy_config.yaml`: what LiteLLM accepts and refuses, and what a simulated run may use.

use std::path::Path;

use compat_matrix::cells::{Manifest, ProxyConfig, Simulated};
use compat_matrix::document::Diagnostic;
use compat_matrix::env::SIMULATOR_VARIABLES;

use crate::support::project::{has, summary};

/// A manifest with the one alias `claude-haiku-4-5`.
const MANIFEST: &str = "schema_version: \"1\"\nproviders: [anthropic]\nfeatures:\n  - { id: text, name: Text }\ntiers:\n  \
                        - { id: haiku, name: Haiku, model: claude-haiku-4-5 }\naliases:\n  anthropic: \"{model}\"\n";

/// An entry of `model_list` with `name` and `parameters`.
fn entry(name: &str, parameters: &str) -> String {
    format!("  - model_name: \"{name}\"\n    litellm_params: {{ {parameters} }}\n")
}

/// A configuration with one deployment.
fn one(name: &str, parameters: &str) -> String {
    format!("model_list:\n{}", entry(name, parameters))
}

/// Reads `text`; `more.yaml` and `sub/more.yaml` can be included.
fn parse(text: &str) -> Result<ProxyConfig, Vec<Diagnostic>> {
    let more = one(
        "claude-haiku-4-5",
        "model: anthropic/claude-haiku-4-5, api_key: sk-literal-1",
    );
    let read = |file: &Path| match file.to_str() {
        Some("more.yaml") => Ok(more.clone().into_bytes()),
        Some("sub/more.yaml") => Ok(format!(
            "include: [../more.yaml, more.yaml]\n{}",
            one("other", "model: anthropic/claude-opus-4-7")
        )
        .into_bytes()),
        _ => Err(vec![Diagnostic::of_file(file, "there is no such file")]),
    };
    ProxyConfig::parse(
        Path::new("proxy_config.yaml"),
        text.as_bytes(),
        &read,
        Simulated {
            variables: &SIMULATOR_VARIABLES,
            models: &["claude-haiku-9".to_owned()],
        },
    )
}

fn lacks(config: &ProxyConfig) -> Option<Diagnostic> {
    let manifest = Manifest::parse(Path::new("manifest.yaml"), MANIFEST.as_bytes()).unwrap();
    config.lacks(&manifest, &manifest.providers[0], &manifest.tiers[0].id)
}

/// The provider's name of the model behind the alias.
fn model(text: &str) -> Option<String> {
    let config = parse(text).unwrap_or_else(|errors| panic!("{text}\n{}", summary(&errors)));
    assert_eq!(
        lacks(&config).is_none(),
        config.model("claude-haiku-4-5").is_some(),
        "{text}"
    );
    config.model("claude-haiku-4-5")
}

#[test]
fn settings_are_switches_and_numbers_but_no_credential() {
    let settings = "general_settings: { master_key: 123456, store_model_in_db: false }\nlitellm_settings:\n  \
                    { drop_params: true, request_timeout: 600, cache_params: { ttl: 1 }, default_team: red }\n";
    let config = parse(&(one("a", "model: anthropic/claude-haiku-4-5") + settings)).unwrap();
    let found = config
        .settings()
        .iter()
        .map(|(name, value)| format!("{name}: {value}"));
    assert_eq!(
        found.collect::<Vec<_>>(),
        [
            "general_settings.store_model_in_db: false",
            "litellm_settings.drop_params: true",
            "litellm_settings.request_timeout: 600",
        ]
    );
}

#[test]
fn a_misnamed_section_is_a_note() {
    let config = |section: &str| {
        let text = one("a", "model: anthropic/claude-haiku-4-5");
        parse(&format!("{text}{section}: {{ drop_params: true }}\n")).unwrap()
    };
    has(
        config("litelm_settings").notes(),
        "proxy_config.yaml:4 LiteLLM ignores the section `litelm_settings` | did you mean `litellm_settings`?",
    );
    for section in ["litellm_settings", "guardrails", "callback_settings"] {
        assert_eq!(config(section).notes(), []);
    }
}

#[test]
fn models_are_found_as_litellm_finds_them() {
    let haiku = "model: anthropic/claude-haiku-4-5";
    let aliased = |alias: &str, name: &str| {
        format!(
            "{}router_settings:\n  model_group_alias: {alias}\n",
            one(name, haiku)
        )
    };
    let arn = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/a1b2";
    for (text, wanted) in [
        (one("claude-haiku-4-5", haiku), Some("claude-haiku-4-5")),
        (
            one("claude-haiku-4-5", "model: claude-haiku-4-5"),
            Some("claude-haiku-4-5"),
        ),
        (one("claude-haiku-45", haiku), None),
        (
            one(
                "claude-haiku-4-5",
                &format!("model: bedrock/invoke/us.anthropic.claude-haiku-4-5, model_id: \"{arn}\""),
            ),
            Some(arn),
        ),
        // Wildcards: what a `*` of the name matched replaces that of the model; the longest pattern wins.
        (
            one("claude-*", "model: anthropic/claude-*"),
            Some("claude-haiku-4-5"),
        ),
        (
            one("claude-*", "model: anthropic/claude-sonnet-4-6"),
            Some("claude-sonnet-4-6"),
        ),
        (one("*", "model: anthropic/*"), Some("claude-haiku-4-5")),
        (one("anthropic/*", "model: anthropic/*"), Some("claude-haiku-4-5")),
        (one("gpt-*", "model: openai/gpt-*"), None),
        (one("claude-*-4", haiku), Some("claude-haiku-4-5")),
        (one("*-haiku", haiku), Some("claude-haiku-4-5")),
        (one("*-opus", haiku), None),
        (
            format!(
                "{}{}",
                one("*", "model: anthropic/claude-opus-4-7"),
                entry("claude-h*", haiku)
            ),
            Some("claude-haiku-4-5"),
        ),
        // An alias is resolved once.
        (
            aliased("{ claude-haiku-4-5: group }", "group"),
            Some("claude-haiku-4-5"),
        ),
        (
            aliased("{ claude-haiku-4-5: { model: group, hidden: true } }", "group"),
            Some("claude-haiku-4-5"),
        ),
        (aliased("{ claude-haiku-4-5: gruop }", "group"), None),
        (aliased("{ claude-haiku-4-5: next, next: group }", "group"), None),
        // Several deployments under one name share its requests.
        (
            format!(
                "{}{}",
                one("claude-haiku-4-5", haiku),
                entry("claude-haiku-4-5", haiku)
            ),
            Some("claude-haiku-4-5"),
        ),
        // Anchors and merge keys.
        (
            format!(
                "shared: &shared\n  {haiku}\nmodel_list:\n  - model_name: claude-haiku-4-5\n    litellm_params:\n      <<: *shared\n"
            ),
            Some("claude-haiku-4-5"),
        ),
        // Files that are included: lists are extended, and the path is relative to the file that includes.
        (
            "include: [more.yaml]\nmodel_list: []\n".to_owned(),
            Some("claude-haiku-4-5"),
        ),
        ("include: [sub/more.yaml]\n".to_owned(), Some("claude-haiku-4-5")),
        (
            one("claude-haiku-4-5", &format!("model: \"bedrock/converse/{arn}\"")),
            Some(arn),
        ),
        (
            one("claude-haiku-4-5", &format!("model: \"bedrock/{arn}\"")),
            Some(arn),
        ),
        (
            one(
                "claude-haiku-4-5",
                "model: \"bedrock/invoke/us.anthropic.claude-haiku-4-5-20251001-v1:0\"",
            ),
            Some("us.anthropic.claude-haiku-4-5-20251001-v1:0"),
        ),
        (
            one("claude-haiku-4-5", &format!("{haiku}, tags: [yes]")),
            Some("claude-haiku-4-5"),
        ),
    ] {
        assert_eq!(model(&text).as_deref(), wanted, "{text}");
    }
}

#[test]
fn a_missing_model_is_reported_with_the_known_names() {
    let text = format!(
        "{}router_settings:\n  model_group_alias: {{ claude-haiku-4-5: gruop, other: group }}\n",
        one("group", "model: anthropic/claude-haiku-4-5")
    );
    let error = lacks(&parse(&text).unwrap()).unwrap();
    assert_eq!(
        error.message,
        "`proxy_config.yaml` has no model `gruop`, which `model_group_alias` names for `claude-haiku-4-5`"
    );
    assert_eq!(
        error.allowed.as_deref(),
        Some("`group`, `claude-haiku-4-5`, `other`")
    );
    assert!(error.hint.unwrap().starts_with("did you mean `group`?"));
}

#[test]
fn what_litellm_cannot_use_is_an_error_with_its_line() {
    for (text, expected) in [
        (
            one("a", "model: antropic/claude-haiku-4-5"),
            "proxy_config.yaml:3 LiteLLM has no provider `antropic` | did you mean `anthropic/…`?",
        ),
        (one("a", "api_key: x"), "proxy_config.yaml:3 `model` is missing"),
        (
            "model_list:\n  - model_name: a\n".to_owned(),
            "proxy_config.yaml:2 `a` has no `litellm_params`",
        ),
        (
            "model_list:\n  - litellm_params: { model: a }\n".to_owned(),
            "proxy_config.yaml:2 `model_name` is missing",
        ),
        ("models: []\n".to_owned(), "`model_list` is not a list"),
        (
            "modellist: []\n".to_owned(),
            "proxy_config.yaml:1 LiteLLM ignores the section `modellist` | did you mean `model_list`?",
        ),
        ("- model_list\n".to_owned(), "the file is not a map"),
        ("model_list: [\n".to_owned(), "this is not YAML"),
        (
            one("a", "model: claud-haiku-4-5, api_base: os.environ/BASE"),
            "proxy_config.yaml:3 LiteLLM knows no provider of `claud-haiku-4-5` | did you mean `anthropic/claude-haiku-4-5`?",
        ),
        (
            one("a", "model: claude-sonnet-4-6@default"),
            "LiteLLM knows no provider of `claude-sonnet-4-6@default`",
        ),
        (
            "include: more.yaml\n".to_owned(),
            "proxy_config.yaml:1 `include` is not a list of files",
        ),
        (
            "include:\n  - gone.yaml\n".to_owned(),
            "proxy_config.yaml:2 `gone.yaml` cannot be included: there is no such file",
        ),
        (
            one(
                "a",
                "model: \"bedrock/invoke/arn:aws:bedrock:us-east-1:1:application-inference-profile/a1\"",
            ),
            "proxy_config.yaml:3 LiteLLM cannot tell whose model this ARN is",
        ),
    ] {
        has(&parse(&text).expect_err(&text), expected);
    }
}

#[test]
fn a_model_that_no_provider_lists_is_named_with_the_nearest() {
    for (model, expected) in [
        ("anthropic/claude-haiku-4-5-20251001", ""),
        ("claude-haiku-4-5-20251001", ""),
        ("anthropic/claude-haiku-9", ""),
        ("anthropic/claude-*", ""),
        ("bedrock/us.anthropic.claude-haiku-4-5-20251001-v1:0", ""),
        ("us.anthropic.claude-opus-4-7", ""),
        (
            "anthropic/claude-sonet-4-6",
            "proxy_config.yaml:3 `anthropic` has no model `claude-sonet-4-6` | did you mean `claude-sonnet-4-6`?",
        ),
        (
            "claude-nonexistent-9",
            "proxy_config.yaml:3 `anthropic` has no model `claude-nonexistent-9`",
        ),
        (
            "bedrock/converse/us.anthropic.claude-haiku-4-5",
            "`bedrock` has no model `us.anthropic.claude-haiku-4-5` | did you mean \
             `us.anthropic.claude-haiku-4-5-20251001-v1:0`?",
        ),
    ] {
        let found = outside(&one("claude-haiku-4-5", &format!("model: \"{model}\"")));
        match expected {
            "" => assert_eq!(found, "", "{model}"),
            expected => crate::support::text::assert_has(&found, expected),
        }
    }
    let with_id = |id: &str| {
        let parameters = format!("model: bedrock/invoke/us.anthropic.claude-haiku-4-5, model_id: \"{id}\"");
        outside(&one("claude-haiku-4-5", &parameters))
    };
    assert_eq!(
        with_id("arn:aws:bedrock:us-east-1:1:application-inference-profile/a1"),
        ""
    );
    crate::support::text::assert_has(
        &with_id("us.anthropic.claude-nonsense-9"),
        "`bedrock` has no model `us.anthropic.claude-nonsense-9`",
    );
    let error = &parse(&one("claude-haiku-4-5", "model: anthropic/claude-sonet-4-6"))
        .unwrap()
        .outside(["claude-haiku-4-5"])[0];
    assert_eq!((error.place.line, error.place.column), (3, 30));
}

#[test]
fn of_a_key_that_is_there_twice_the_last_one_counts() {
    let opus = "model: anthropic/claude-opus-4-7";
    let twice = format!(
        "{}{}",
        one("claude-haiku-4-5", opus),
        one(
            "claude-haiku-4-5",
            &format!("{opus}, api_key: sk-1, {}", "model: anthropic/claude-haiku-4-5")
        )
    );
    assert_eq!(model(&twice).as_deref(), Some("claude-haiku-4-5"));
    let notes = parse(&twice).unwrap().notes().to_vec();
    has(
        &notes,
        "proxy_config.yaml:4 the key `model_list` is there twice, and the last one counts | keep one of the two",
    );
    has(&notes, "proxy_config.yaml:6 the key `model` is there twice");
    // No note shows the line, which may contain a secret.
    assert!(notes.iter().all(|note| note.span.is_none()), "{notes:?}");
    let misnamed = format!(
        "model_list:\n  - model_name: a\n    litellm_params: {{ {opus}, api_key: os.environ/ANTHROPIC_APIKEY }}\n"
    );
    has(
        parse(&misnamed).unwrap().notes(),
        "proxy_config.yaml:3 a simulated run does not set the variable `ANTHROPIC_APIKEY` | did you mean `ANTHROPIC_API_KEY`?",
    );
    // Of two merge keys, the first one counts, as in one with a list.
    let merged = format!(
        "x: &x {{ {opus} }}\ny: &y {{ model: anthropic/other, api_key: os.environ/K }}\nmodel_list:\n  - model_name: \
         claude-haiku-4-5\n    litellm_params:\n      <<: *x\n      <<: *y\n"
    );
    assert_eq!(model(&merged).as_deref(), Some("claude-opus-4-7"));
    assert_eq!(parse(&merged).unwrap().notes(), []);
}

/// The lines with which the alias would not reach the simulator.
fn outside(text: &str) -> String {
    let config = parse(text).unwrap_or_else(|errors| panic!("{text}\n{}", summary(&errors)));
    summary(&config.outside(["claude-haiku-4-5"]))
}

#[test]
fn a_simulated_run_names_the_lines_that_leave_it() {
    let anthropic = "model: anthropic/claude-haiku-4-5";
    let with = |parameters: &str| one("claude-haiku-4-5", parameters);
    for (text, expected) in [
        (with(anthropic), ""),
        (with(&format!("{anthropic}, api_base: os.environ/ANTHROPIC_API_BASE, api_key: os.environ/KEY")), ""),
        (with("model: bedrock/us.anthropic.claude-sonnet-4-6, aws_region_name: eu-west-1"), ""),
        (with("model: vertex_ai/claude-haiku-4-5, api_base: os.environ/VERTEXAI_API_BASE"), ""),
        (
            with(&format!("{anthropic}, api_base: \"https://api.anthropic.com\"")),
            "proxy_config.yaml:3 a simulated run would call `https://api.anthropic.com` instead of the simulator | write `api_base: \
             os.environ/ANTHROPIC_API_BASE`",
        ),
        (
            with(&format!("{anthropic}, api_key: sk-ant-a-literal-key")),
            "proxy_config.yaml:3 a simulated run would send this `api_key`, which the simulator does not know",
        ),
        (
            with("model: vertex_ai/claude-haiku-4-5, vertex_ai_credentials: account.json"),
            "would send this `vertex_ai_credentials`, which the simulator does not know | write `vertex_ai_credentials: \
             os.environ/VERTEXAI_CREDENTIALS`",
        ),
        (
            with("model: bedrock/us.anthropic.claude-sonnet-4-6, aws_bedrock_runtime_endpoint: \"https://b.example\""),
            "write `aws_bedrock_runtime_endpoint: os.environ/AWS_BEDROCK_RUNTIME_ENDPOINT`",
        ),
        (
            with(&format!("{anthropic}, litellm_credential_name: mine")),
            "proxy_config.yaml:3 a simulated run would use the address and the credential of this name in `credential_list` | remove \
             it from the deployments",
        ),
        (
            with("model: bedrock/us.anthropic.claude-sonnet-4-6, api_key: a-literal-key"),
            "a simulated run would send this `api_key`, which the simulator does not know | remove it: the run signs with AWS keys",
        ),
        (
            with("model: bedrock/us.anthropic.claude-sonnet-4-6, aws_role_name: role"),
            "a simulated run would ask AWS for a credential by this `aws_role_name`",
        ),
        (
            with("model: vertex_ai/claude-haiku-4-5"),
            "a simulated run would call Google instead of the simulator | write `api_base: os.environ/VERTEXAI_API_BASE`",
        ),
        (with("model: openai/gpt-5"), "a simulated run has no provider `openai`"),
        (with("model: gpt-5"), "a simulated run has no provider of this model"),
        (
            with("model: os.environ/MODEL"),
            "proxy_config.yaml:3 the gateway of a simulated run does not get the variable `MODEL`",
        ),
        (
            format!("{}general_settings: {{ master_key: sk-1234 }}\n", with(anthropic)),
            "proxy_config.yaml:4 this replaces the key with which a simulated run calls the gateway | remove it",
        ),
        (format!("{}general_settings: {{ master_key: os.environ/KEY }}\n", with(anthropic)), ""),
        (
            format!("{}environment_variables:\n  ANTHROPIC_API_BASE: https://a.example\n", with(anthropic)),
            "proxy_config.yaml:5 this replaces the `ANTHROPIC_API_BASE`",
        ),
        (
            format!("{}environment_variables:\n  AWS_SESSION_TOKEN: a\n", with(anthropic)),
            "proxy_config.yaml:5 this replaces the `AWS_SESSION_TOKEN`",
        ),
        (
            format!(
                "{}router_settings:\n  default_litellm_params:\n    api_base: https://a.example\n    api_key: os.environ/KEY\n",
                with(anthropic)
            ),
            "proxy_config.yaml:6 a simulated run would use this `api_base` beside those of the simulator | remove it",
        ),
        (
            format!("{}litellm_settings:\n  api_base: https://a.example\n", with(anthropic)),
            "proxy_config.yaml:5 a simulated run would use this `api_base`",
        ),
        (
            format!("{}guardrails:\n  - litellm_params: {{ guardrail: x, api_key: sk-1 }}\n", with(anthropic)),
            "proxy_config.yaml:5 a simulated run would use this `api_key`",
        ),
        (
            with(&format!("{anthropic}, fallbacks: [{{ model: anthropic/claude-sonnet-4-6, api_key: sk-1 }}]")),
            "proxy_config.yaml:3 a simulated run would send this `api_key`",
        ),
        ("include: [sub/more.yaml]\n".to_owned(), "more.yaml:3 a simulated run would send this `api_key`"),
        // Behind a merge key, the line of the anchor counts.
        (
            "x: &x\n  api_key: sk-1\nmodel_list:\n  - model_name: claude-haiku-4-5\n    litellm_params:\n      <<: *x\n      model: \
             anthropic/claude-haiku-4-5\n"
                .to_owned(),
            "proxy_config.yaml:2 a simulated run would send this `api_key`",
        ),
        // Deployments that no trial uses do not count, those of a fallback do.
        (format!("{}{}", with(anthropic), entry("other", "model: openai/gpt-5")), ""),
        (
            format!(
                "{}{}router_settings:\n  fallbacks: [{{ claude-haiku-4-5: [other] }}]\n",
                with(anthropic),
                entry("other", "model: openai/gpt-5")
            ),
            "proxy_config.yaml:5 a simulated run has no provider `openai`",
        ),
    ] {
        let found = outside(&text);
        match expected {
            "" => assert_eq!(found, "", "{text}"),
            expected => crate::support::text::assert_has(&found, expected),
        }
        assert!(!found.contains("sk-"), "{found}");
    }
}

#[test]
fn the_configuration_of_this_project_stays_inside() {
    let project = compat_matrix::files::Project::open(crate::support::root()).unwrap();
    let config = project.proxy_config().unwrap();
    assert_eq!(project.outside(&config, &project.trials()), []);
}

#[test]
fn the_place_of_a_request_is_configured() {
    let variables = [
        ("VERTEXAI_PROJECT", "p"),
        ("VERTEXAI_LOCATION", "us-east5"),
        ("OTHER", "x"),
    ];
    let variables = variables
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    let place = |parameters: &str| {
        let config = parse(&one("claude-haiku-4-5", parameters)).unwrap();
        let place = config.place("claude-haiku-4-5", &variables);
        [place.project, place.location, place.geography].map(Option::unwrap_or_default)
    };
    for (parameters, expected) in [
        (
            "model: vertex_ai/claude-haiku-4-5@20251001",
            ["p", "us-east5", ""],
        ),
        (
            "model: vertex_ai/claude-haiku-4-5, vertex_location: global, vertex_project: os.environ/OTHER",
            ["x", "global", ""],
        ),
        (
            "model: vertex_ai/claude-haiku-4-5, vertex_location: os.environ/UNKNOWN",
            ["p", "", ""],
        ),
        (
            "model: bedrock/converse/eu.anthropic.claude-haiku-4-5-20251001-v1:0",
            ["p", "us-east5", "eu"],
        ),
        (
            "model: bedrock/converse/arn:aws:bedrock:us-east-1:1:application-inference-profile/x",
            ["p", "us-east5", ""],
        ),
    ] {
        assert_eq!(place(parameters), expected, "{parameters}");
    }
    // LiteLLM may use either.
    let two = ["us", "eu"].map(|geography| {
        let model = format!("bedrock/converse/{geography}.anthropic.claude-haiku-4-5-20251001-v1:0");
        entry(
            "claude-haiku-4-5",
            &format!("model: \"{model}\", vertex_location: {geography}"),
        )
    });
    let two = format!("model_list:\n{}", two.concat());
    let config = parse(&two).unwrap();
    let place = config.place("claude-haiku-4-5", &variables);
    assert_eq!(
        [
            place.project.as_deref(),
            place.location.as_deref(),
            place.geography.as_deref()
        ],
        [Some("p"), None, None]
    );
    assert!(config.notes()[0].message.contains("has several deployments"));
    let calm = format!("{two}router_settings: {{ disable_cooldowns: true }}\n");
    assert_eq!(parse(&calm).unwrap().notes(), []);
}
