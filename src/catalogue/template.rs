//! The templates of a catalogue entry: Jinja, filled from one neutral list.
//!
//! The list names no gateway: aliases, columns, the providers' own names of the models, bases and credentials. An unknown
//! name is an error, so a template cannot lose a value silently.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Serde};
use minijinja::{AutoEscape, Environment, ErrorKind, UndefinedBehavior, Value, filters};
use regex::Regex;
use serde::Serialize;

use super::{Lacks, Need};
use crate::ids::ProviderId;
use crate::text::{listed, suggestion};

/// Everything that a template may use.
#[derive(Clone, Debug, Default, Serialize)]
pub struct NeutralList {
    /// The port on loopback that the gateway must listen on.
    pub port: u16,
    /// The key that clients send to the gateway.
    pub key: String,
    /// The gateway's own folder for this run.
    pub folder: String,
    /// Its home, a folder in `folder`.
    pub home: String,
    /// The folder of the installed package.
    pub install: String,
    /// The pinned `claude`; empty if the gateway is no part of it.
    pub claude: String,
    /// The models of the columns that the gateway has.
    pub models: Vec<NeutralModel>,
    /// Base and credentials of each column, by its name.
    pub providers: BTreeMap<String, BTreeMap<String, String>>,
    /// The `url` of a gateway that needs PostgreSQL, with the password.
    pub postgresql: BTreeMap<String, String>,
    /// `issuer`, `client_id` and `client_secret` of a gateway that needs a sign-in.
    pub sign_in: BTreeMap<String, String>,
}

/// A model that clients ask for, and what its provider calls it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct NeutralModel {
    /// What a client asks for.
    pub alias: String,
    /// The column: `bedrock_invoke`.
    pub provider: String,
    pub tier: String,
    /// What the provider calls it.
    pub model: String,
}

/// Why a template cannot be filled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateError {
    pub message: String,
    /// The line in the template, from 1.
    pub line: usize,
}

/// Fills `text`. `column` is the column of the request for which a header is made, else empty.
pub fn fill(text: &str, list: &NeutralList, column: &str) -> Result<String, TemplateError> {
    filled(
        text,
        &minijinja::context! { column => column, ..Value::from(Serde(list)) },
    )
}

/// Fills `text`, which may use `providers` only: LiteLLM's variables are made before its port and its key.
pub fn fill_from_providers(
    text: &str,
    providers: &BTreeMap<String, BTreeMap<String, String>>,
) -> Result<String, TemplateError> {
    filled(
        text,
        &minijinja::context! { providers => Value::from(Serde(providers)) },
    )
}

fn filled(text: &str, values: &Value) -> Result<String, TemplateError> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    // The library's own filter makes `null` of an undefined value.
    environment.add_filter(
        "tojson",
        |value: &Value, indent: Option<Value>, arguments: Kwargs| match value.is_undefined() {
            true => Err(ErrorKind::UndefinedError.into()),
            false => filters::tojson(value, indent, arguments),
        },
    );
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    let mut syntax = SyntaxConfig::builder();
    syntax
        .trim_blocks(true)
        .lstrip_blocks(true)
        .keep_trailing_newline(true);
    if let Ok(syntax) = syntax.build() {
        environment.set_syntax(syntax);
    }
    let filled = environment
        .template_from_str(text)
        .and_then(|template| template.render(values));
    filled.map_err(|error| {
        let line = error.line().unwrap_or(1);
        let source = text.lines().nth(line - 1).unwrap_or_default();
        let message = match (error.kind(), error.detail()) {
            (ErrorKind::UndefinedError, _) => undefined_name(text, source, values)
                .unwrap_or_else(|| format!("undefined value in `{}`", source.trim())),
            (kind, None) => kind.to_string(),
            (kind, Some(detail)) => format!("{kind}: {detail}"),
        };
        TemplateError { line, message }
    })
}

/// The name in the one expression of `line`, such as `providers.azure.kay`, that `values` do not have, with those that they have.
/// Of a name that a loop defines, it says only that it is undefined.
fn undefined_name(template: &str, line: &str, values: &Value) -> Option<String> {
    static NAME: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*").expect("the pattern is valid"));
    // Of several expressions or names, it is not clear which one is meant.
    let (expression, rest) = line.split_once("{{")?.1.split_once("}}")?;
    if rest.contains("{{") || expression.contains(['"', '\'', '~', '+']) {
        return None;
    }
    let found = NAME.find(expression)?.as_str();
    let mut value = values.clone();
    for (index, step) in found.split('.').enumerate() {
        let keys: Vec<String> = value.try_iter().ok()?.map(|key| key.to_string()).collect();
        let next = value.get_attr(step).ok()?;
        if next.is_undefined() {
            let in_loop = |defined: &str| defined.split([' ', ',', '-']).any(|word| word == step);
            let mut loops = template
                .split("for ")
                .skip(1)
                .filter_map(|rest| rest.split(" in ").next());
            let is_of_loop = index == 0 && loops.any(in_loop);
            let known = || keys.iter().map(String::as_str);
            let what = match is_of_loop {
                true => return Some(format!("`{found}` is undefined")),
                false => found.split('.').take(index + 1).collect::<Vec<_>>().join("."),
            };
            return Some(format!(
                "`{what}` is undefined{}: expected one of {}",
                suggestion(step, known()),
                listed(known())
            ));
        }
        value = next;
    }
    None
}

impl NeutralList {
    /// Without the models of columns that the gateway does not serve, as in a run.
    pub fn without(mut self, lacks: &Lacks) -> Self {
        let is_served = |model: &NeutralModel| !lacks.lacks_column(&ProviderId::new(&model.provider));
        self.models.retain(is_served);
        self
    }

    /// A list with a value for every name, to check templates without a gateway that has these `needs`.
    pub fn sample(needs: &[Need]) -> Self {
        let text = |name: &str| format!("a-{name}");
        let names = [
            ("anthropic", &["base", "key"][..]),
            ("azure", &["base", "key"]),
            ("bedrock_invoke", &AWS),
            ("bedrock_converse", &AWS),
            ("bedrock_mantle", &AWS),
            (
                "vertex_ai",
                &[
                    "base",
                    "credentials",
                    "credentials_file",
                    "project",
                    "location",
                    "access_token",
                ],
            ),
        ];
        let provider = |(name, keys): (&str, &[&str])| {
            let values = keys.iter().map(|key| ((*key).to_owned(), text(key)));
            (name.to_owned(), values.collect())
        };
        let of_need = |need: Need, names: &[&str]| {
            let names = names.iter().filter(|_| needs.contains(&need));
            names.map(|name| ((*name).to_owned(), text(name))).collect()
        };
        Self {
            port: 1,
            key: text("key"),
            folder: text("folder"),
            home: text("home"),
            install: text("install"),
            claude: text("claude"),
            models: Vec::from(names.map(|(name, _)| NeutralModel {
                alias: format!("alias-{name}"),
                provider: name.to_owned(),
                tier: text("tier"),
                model: text("model"),
            })),
            providers: names.map(provider).into_iter().collect(),
            postgresql: of_need(Need::Postgresql, &["url"]),
            sign_in: of_need(Need::SignIn, &["issuer", "client_id", "client_secret"]),
        }
    }
}

const AWS: [&str; 5] = ["base", "access_key_id", "secret_access_key", "api_key", "region"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_lists_the_models_of_a_column() {
        let text = "[\n{% for model in models if model.provider == 'azure' %}\n  {{ model.alias | tojson }}\n{% endfor %}\n]\n";
        let filled = fill(text, &NeutralList::sample(&[]), "").unwrap();
        assert_eq!(filled, "[\n  \"alias-azure\"\n]\n");
        let header = "{{ providers[column].base }}";
        assert_eq!(
            fill(header, &NeutralList::sample(&[]), "azure").unwrap(),
            "a-base"
        );
    }

    #[test]
    fn a_template_may_be_limited_to_providers() {
        let providers = NeutralList::sample(&[]).providers;
        let filled = fill_from_providers("{{ providers.azure.key }}", &providers);
        assert_eq!(filled.unwrap(), "a-key");
        for name in ["key", "port", "home", "column"] {
            let error = fill_from_providers(&format!("{{{{ {name} }}}}"), &providers).unwrap_err();
            assert!(error.message.contains("undefined"), "{}", error.message);
        }
    }

    #[test]
    fn a_service_must_be_needed() {
        let text = "{{ postgresql.url }}";
        assert!(fill(text, &NeutralList::sample(&[]), "").is_err());
        assert_eq!(
            fill(text, &NeutralList::sample(&[Need::Postgresql]), "").unwrap(),
            "a-url"
        );
    }

    #[test]
    fn an_unknown_name_is_an_error_with_its_line() {
        let error = fill("a\n{{ prot }}\n", &NeutralList::sample(&[]), "").unwrap_err();
        assert_eq!(error.line, 2);
        assert!(
            error
                .message
                .contains("`prot` is undefined (did you mean `port`?)"),
            "{}",
            error.message
        );
        for (text, expected) in [
            (
                "{{ provider.azure.key | tojson }}",
                "`provider` is undefined (did you mean `providers`?)",
            ),
            (
                "{{ providers.azure.kay | tojson }}",
                "`providers.azure.kay` is undefined: expected one of `base`, `key`",
            ),
            (
                "{% for model in models %}{{ model.alais }}{% endfor %}",
                "`model.alais` is undefined",
            ),
        ] {
            let error = fill(text, &NeutralList::sample(&[]), "").unwrap_err();
            assert!(error.message.starts_with(expected), "{}", error.message);
        }
        let error = fill("{% for x in %}", &NeutralList::sample(&[]), "").unwrap_err();
        assert!(error.message.contains("syntax error"), "{}", error.message);
    }
}
