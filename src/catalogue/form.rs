//! The form of a catalogue entry, and the errors of its meaning.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Deserialize;

use super::template::{NeutralList, TemplateError, fill};
use super::{BuiltIn, CatalogueEntry, ClientAuth, Install, KeyHeader, Lacks, Need, OwnTool};
use crate::document::{Diagnostic, KeyPath, NodeValue, Reader, written};
use crate::wire::header_names;

/// The keys of `gateways/<name>.yaml` that start a gateway. Without `install`, it can only be attached.
#[derive(Debug)]
pub struct EntryForm {
    pub install: Option<InstallForm>,
    pub needs: Vec<Need>,
    pub configure: IndexMap<String, String>,
    pub start: Option<StartForm>,
    pub ready: Option<String>,
    pub client: Option<ClientForm>,
}

/// Exactly one of `npm`, `pypi`, `tool` and `built_in`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InstallForm {
    /// A package for Node, pinned with its dependencies in `toolchain/gateways/<name>.json`.
    #[schemars(length(min = 1), extend("examples" = ["@portkey-ai/gateway"]))]
    pub npm: Option<String>,
    /// A package for Python, pinned with its dependencies in `toolchain/gateways/<name>.txt`.
    #[schemars(length(min = 1), extend("examples" = ["example-gateway[server]"]))]
    pub pypi: Option<String>,
    /// The version of the package.
    #[schemars(length(min = 1), extend("examples" = ["1.15.2"]))]
    pub version: Option<String>,
    /// The oldest Python that the package supports, if it is newer than 3.10.
    #[schemars(length(min = 1), extend("examples" = ["3.11"]))]
    pub python: Option<String>,
    /// A tool that this project pins for itself.
    pub tool: Option<OwnTool>,
    /// A gateway that is part of this program.
    pub built_in: Option<BuiltIn>,
}

/// How the gateway is started. Each text is a Jinja template.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StartForm {
    /// The program, by its path or its name on the PATH, and its arguments.
    #[schemars(length(min = 1), extend("examples" = [["node", "{{ install }}/server.js"]]))]
    pub command: Vec<String>,
    /// Further variables of its environment.
    #[serde(default)]
    pub environment: IndexMap<String, String>,
}

/// How Claude Code authenticates.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClientForm {
    /// The header with the gateway's key.
    pub key: Option<KeyHeader>,
    /// Further headers of each request. Each value is a Jinja template; `column` is the request's column.
    #[serde(default)]
    pub headers: IndexMap<String, String>,
}

/// The entry. `None` if the gateway can only be attached, or if its source has an error. `is_damaged` says whether a key has an error
/// of form.
pub(crate) fn resolve(
    form: EntryForm,
    lacks: &Lacks,
    is_damaged: &dyn Fn(&str) -> bool,
    reader: &mut Reader<'_>,
) -> Option<CatalogueEntry> {
    let needs = match is_damaged("needs") {
        true => &[Need::Postgresql, Need::SignIn][..],
        false => &form.needs[..],
    };
    let list = NeutralList::sample(needs).without(lacks);
    if let Some(ready) = form.ready.as_deref().filter(|ready| !ready.starts_with('/')) {
        let error = reader.at(&KeyPath::of("ready"), "the path does not begin with `/`");
        reader.report(
            error
                .found(format!("`{ready}`"))
                .hint(format!("write `/{ready}`")),
        );
    }
    for (file, text) in &form.configure {
        let at = KeyPath::of("configure").then(file);
        check_path(&at, file, reader);
        check(&at, text, &list, "", reader);
    }
    for (index, text) in form.start.iter().flat_map(|start| &start.command).enumerate() {
        check(
            &KeyPath::of("start").then("command").then(index),
            text,
            &list,
            "",
            reader,
        );
    }
    for (name, text) in form.start.iter().flat_map(|start| &start.environment) {
        let at = KeyPath::of("start").then("environment").then(name);
        check_variable(&at, name, reader);
        check(&at, text, &list, "", reader);
    }
    let headers = form.client.iter().flat_map(|client| &client.headers);
    for (index, (name, text)) in headers.clone().enumerate() {
        let at = KeyPath::of("client").then("headers").then(name);
        let is_again = |(other, _): (&String, &String)| other.eq_ignore_ascii_case(name);
        let wrong = match header_names::reserved(name) {
            _ if !is_header_name(name) => Some((
                format!("`{name}` is not the name of a header"),
                "letters, digits, `-` and `_`",
            )),
            Some(why) => Some((
                format!("the header `{name}` cannot be set here: {why}"),
                "headers that the gateway itself reads",
            )),
            None if headers.clone().take(index).any(is_again) => Some((
                format!("the header `{name}` is there twice"),
                "each header once, in upper or lower case",
            )),
            None => None,
        };
        if let Some((message, allowed)) = wrong {
            let error = reader.at_key(&at, message);
            reader.report(error.allowed(allowed));
        }
        check(&at, text, &list, "anthropic", reader);
    }
    let Some(source) = form.install.as_ref().filter(|_| !is_damaged("install")) else {
        let keys = [
            ("needs", !form.needs.is_empty()),
            ("configure", !form.configure.is_empty()),
            ("start", form.start.is_some()),
            ("ready", form.ready.is_some()),
            ("client", form.client.is_some()),
        ];
        let is_told = is_damaged("install");
        for (key, _) in keys.into_iter().filter(|(_, is_there)| *is_there && !is_told) {
            let error = reader.at_key(&KeyPath::of(key), format!("`{key}` needs `install`"));
            reader.report(error.hint("say where the gateway comes from, or remove the key: a gateway without `install` is attached"));
        }
        return None;
    };
    let at_install = KeyPath::of("install");
    let install = install(source, &at_install, reader);
    let is_own = matches!(
        install,
        Some(Install::BuiltIn(_) | Install::Tool(OwnTool::Litellm))
    );
    if install.is_some() && !is_own {
        if form.start.is_none() && !is_damaged("start") {
            let error = reader.at_key(&at_install, "the gateway has no `start`");
            reader.report(error.hint("write the program and its arguments as `start: {command: […]}`"));
        }
        if form.ready.is_none() && !is_damaged("ready") {
            let error = reader.at_key(&at_install, "the gateway has no `ready`");
            reader.report(error.hint("write a path that answers with success, such as `ready: /health`"));
        }
    }
    for (key, is_there) in [("start", form.start.is_some()), ("needs", !form.needs.is_empty())] {
        if is_own && is_there {
            let error = reader.at_key(&KeyPath::of(key), "this program starts this gateway itself");
            reader.report(error.hint(format!("remove `{key}`")));
        }
    }
    let install = install?;
    let start = form.start.map(|start| (start.command, start.environment));
    let (command, environment) = start.unwrap_or_default();
    let client = form.client.unwrap_or_default();
    Some(CatalogueEntry {
        install,
        needs: form.needs,
        files: form.configure.into_iter().collect(),
        command,
        environment: environment.into_iter().collect(),
        ready: form.ready.unwrap_or_default(),
        client: ClientAuth {
            key: client.key.unwrap_or_default(),
            headers: client.headers.into_iter().collect(),
        },
    })
}

/// Whether `name` can be the name of a header.
pub fn is_header_name(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

fn install(form: &InstallForm, path: &KeyPath, reader: &mut Reader<'_>) -> Option<Install> {
    let InstallForm {
        npm,
        pypi,
        version,
        python,
        tool,
        built_in,
    } = form;
    if python.is_some() && pypi.is_none() {
        let error = reader.at(&path.then("python"), "only `pypi` has an oldest Python");
        reader.report(error.hint("remove `python`"));
    }
    let (package, is_npm, own) = match (npm, pypi, tool, built_in) {
        (Some(package), None, None, None) => (package, true, None),
        (None, Some(package), None, None) => (package, false, None),
        (None, None, Some(tool), None) => (&String::new(), false, Some(Install::Tool(*tool))),
        (None, None, None, Some(built_in)) => (&String::new(), false, Some(Install::BuiltIn(*built_in))),
        _ => {
            let error = reader.at_key(path, "exactly one source is needed");
            reader.report(error.allowed("`npm`, `pypi`, `tool` or `built_in`"));
            return None;
        }
    };
    let is_pinned = |version: &String| {
        version.starts_with(|first: char| first.is_ascii_digit())
            && (version.bytes()).all(|byte| byte.is_ascii_alphanumeric() || b".+-_".contains(&byte))
    };
    if let Some(range) = version.as_ref().filter(|version| !is_pinned(version)) {
        let error = reader.at(&path.then("version"), "this is not one version");
        reader.report(
            error
                .found(format!("`{range}`"))
                .hint("write the pinned version, such as `1.2.3`"),
        );
        return None;
    }
    let package = package.clone();
    match (own, version.clone()) {
        (None, Some(version)) if is_npm => Some(Install::Npm { package, version }),
        (None, Some(version)) => Some(Install::Pypi {
            package,
            version,
            python: python.clone(),
        }),
        (None, None) => {
            let error = reader.at_key(path, "the package has no `version`");
            reader.report(error.hint("write the pinned version as `version: 1.2.3`"));
            None
        }
        (Some(own), None) => Some(own),
        (Some(_), Some(_)) => {
            let error = reader.at(&path.then("version"), "only `npm` and `pypi` have a version");
            reader.report(error.hint("`toolchain/` pins the version of a tool"));
            None
        }
    }
}

/// Reports a path that leaves the gateway's own folder.
pub(super) fn check_path(at: &KeyPath, file: &str, reader: &mut Reader<'_>) {
    let leaves = std::path::Path::new(file)
        .components()
        .any(|part| !matches!(part, std::path::Component::Normal(_)));
    if leaves || file.is_empty() {
        let error = reader.at_key(at, format!("`{file}` is not a path in the gateway's own folder"));
        reader.report(error.hint("write a relative path without `..`; the home is `home/`"));
    }
}

/// Reports a `name` that cannot be that of a variable: POSIX.1-2024, Base Definitions, 8.1.
pub(super) fn check_variable(at: &KeyPath, name: &str, reader: &mut Reader<'_>) {
    let is_right = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if name.starts_with(|first: char| first.is_ascii_digit())
        || name.is_empty()
        || !name.bytes().all(is_right)
    {
        let error = reader.at_key(at, format!("`{name}` cannot be the name of a variable"));
        reader.report(error.allowed("letters, digits and `_`, no digit first"));
    }
}

/// Reports a template that cannot be filled, at its line in the file.
pub(super) fn check(at: &KeyPath, text: &str, list: &NeutralList, column: &str, reader: &mut Reader<'_>) {
    if let Err(error) = fill(text, list, column) {
        report_unfilled(at, text, &error, reader);
    }
}

/// Reports the `error` of the template `text`, at its line in the file.
pub(super) fn report_unfilled(at: &KeyPath, text: &str, error: &TemplateError, reader: &mut Reader<'_>) {
    let mut span = reader.node.span_at(&at.0).clone();
    let key = reader.node.key_span_at(&at.0);
    let parent = reader.node.at(&at.0[..at.0.len() - 1]).map(|node| &node.value);
    let first = span.source.line(key.start.line).trim_end();
    let is_block = matches!(parent, Some(NodeValue::Map(_))) && first.ends_with(['|', '-', '+']);
    // In quotes or in a list, a line of the text is no line of the file.
    if is_block && text.contains('\n') {
        // The text of a block begins in the line after its key.
        span.start.line = key.start.line + error.line;
        let line = span.source.line(span.start.line);
        let length = line.chars().count();
        span.start.column = length - line.trim_start().chars().count() + 1;
        span.end.line = span.start.line;
        span.end.column = length + 1;
    }
    let diagnostic = Diagnostic::at(&span, format!("the template cannot be filled: {}", error.message));
    reader.report(
        diagnostic
            .path(written(&at.0))
            .hint("`docs/gateways.md` lists the names that a template may use"),
    );
}
