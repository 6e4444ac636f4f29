//! Named configurations of a gateway: settings that decide results, in place of its usual ones.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::form::{check, check_path, check_variable, report_unfilled};
use super::template::{NeutralList, fill_from_providers};
use super::{CatalogueEntry, Install, Lacks, OwnTool};
use crate::document::{Diagnostic, KeyPath, Reader};
use crate::text::{is_name, listed, suggestion};

/// The name of the usual settings.
pub const DEFAULT: &str = "default";

/// Values of a configuration file: a section, a name in it, and the value.
pub type ConfiguredValues = IndexMap<String, IndexMap<String, Value>>;

/// Values in place of the gateway's usual ones. `--config NAME` runs the matrix with them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Configuration {
    #[serde(skip)]
    pub name: String,
    /// What is different, in one sentence.
    #[schemars(length(min = 1))]
    pub about: String,
    /// Variables of the gateway's environment. Each value is a Jinja template.
    #[serde(default)]
    pub environment: IndexMap<String, String>,
    /// Variables that the gateway's environment lacks then.
    #[serde(default)]
    pub unset: Vec<String>,
    /// Only of LiteLLM: values in place of those in `proxy_config.yaml`, by section and name.
    #[serde(default)]
    pub settings: ConfiguredValues,
    /// Not of LiteLLM: files in place of those under `configure`, by their paths. Each text is a Jinja template.
    #[serde(default)]
    pub configure: IndexMap<String, String>,
}

impl Configuration {
    /// `entry` with this configuration.
    pub fn applied_to(&self, mut entry: CatalogueEntry) -> CatalogueEntry {
        entry
            .environment
            .retain(|(name, _)| !self.unset.contains(name) && !self.environment.contains_key(name));
        entry.environment.extend(self.environment.clone());
        entry.files.retain(|(file, _)| !self.configure.contains_key(file));
        entry.files.extend(self.configure.clone());
        entry
    }
}

/// The configurations of a gateway.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Configurations(pub Vec<Configuration>);

impl Configurations {
    /// The names, the usual one first.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let own = self.0.iter().map(|configuration| configuration.name.as_str());
        std::iter::once(DEFAULT).chain(own)
    }

    /// The configuration `name`; `None` for the usual one. The error lists the names.
    pub fn called(&self, name: &str) -> Result<Option<&Configuration>, String> {
        let found = self.0.iter().find(|configuration| configuration.name == name);
        match found {
            None if name != DEFAULT => Err(format!(
                "the gateway has no configuration `{name}`{}: it has {}",
                suggestion(name, self.names()),
                listed(self.names())
            )),
            found => Ok(found),
        }
    }
}

/// The checked configurations. `entry` is `None` if the gateway's source has an error, or if it can only be attached.
pub(crate) fn resolve(
    forms: IndexMap<String, Configuration>,
    entry: Option<&CatalogueEntry>,
    lacks: &Lacks,
    reader: &mut Reader<'_>,
) -> Configurations {
    let install = entry.map(|entry| &entry.install);
    let list = NeutralList::sample(entry.map_or(&[][..], |entry| &entry.needs)).without(lacks);
    if let Some(Install::BuiltIn(_)) = install
        && !forms.is_empty()
    {
        reader.hinted(
            &KeyPath::of("configurations"),
            "a gateway of this program has no settings, so a configuration changes nothing",
            "remove `configurations`",
        );
    }
    let mut all = Vec::new();
    for (name, form) in forms {
        let path = KeyPath::of("configurations").then(&name);
        if !is_name(&name) || name == DEFAULT {
            let error = reader.at_key(&path, format!("`{name}` cannot be the name of a configuration"));
            reader.report(error.allowed(format!(
                "lower-case letters, digits and `_`, a letter first; `{DEFAULT}` is the usual configuration"
            )));
        }
        let is_litellm = install == Some(&Install::Tool(OwnTool::Litellm));
        let wrong = [
            (
                "settings",
                !form.settings.is_empty() && !is_litellm,
                "only LiteLLM has `settings`",
            ),
            (
                "configure",
                !form.configure.is_empty() && is_litellm,
                "LiteLLM's file is `proxy_config.yaml`",
            ),
        ];
        for (key, is_wrong, message) in wrong {
            if is_wrong && install.is_some() {
                reader.hinted(
                    &path.then(key),
                    message,
                    "write `configure` for other gateways, and `settings` for LiteLLM",
                );
            }
        }
        let changes = [
            form.environment.len(),
            form.unset.len(),
            form.settings.len(),
            form.configure.len(),
        ];
        if changes == [0; 4] {
            reader.hinted(
                &path,
                "this configuration changes nothing",
                "write `environment`, `unset`, `settings` or `configure`",
            );
        }
        for (variable, text) in &form.environment {
            let at = path.then("environment").then(variable);
            check_variable(&at, variable, reader);
            match (is_litellm, install) {
                // It is not known which names a template may use.
                (false, None) => {}
                (false, Some(_)) => check(&at, text, &list, "", reader),
                (true, _) => {
                    if let Err(error) = fill_from_providers(text, &list.providers) {
                        report_unfilled(&at, text, &error, reader);
                    }
                }
            }
        }
        for (file, text) in &form.configure {
            let at = path.then("configure").then(file);
            check_path(&at, file, reader);
            check(&at, text, &list, "", reader);
        }
        // `files::gateway_files` knows the variables of LiteLLM.
        if let Some(entry) = entry.filter(|_| !is_litellm) {
            let variables: Vec<&str> = entry.environment.iter().map(|(name, _)| name.as_str()).collect();
            for (index, name) in form.unset.iter().enumerate() {
                let at = path.then("unset").then(index);
                let error = reader.at(&at, format!("`start` sets no variable `{name}`"));
                report_unknown(error, name, &variables, reader);
            }
            let files: Vec<&str> = entry.files.iter().map(|(file, _)| file.as_str()).collect();
            for file in form.configure.keys() {
                let at = path.then("configure").then(file);
                let error = reader.at_key(&at, format!("the gateway has no file `{file}` to replace"));
                report_unknown(error, file, &files, reader);
            }
        }
        all.push(Configuration { name, ..form });
    }
    Configurations(all)
}

/// Reports `error` if `name` is not in `known`.
fn report_unknown(error: Diagnostic, name: &str, known: &[&str], reader: &mut Reader<'_>) {
    if known.contains(&name) {
        return;
    }
    let error = match known.is_empty() {
        true => error.allowed("none: the gateway has none"),
        false => error.allowed(listed(known.iter().copied())),
    };
    reader.report(error.did_you_mean(name, known.iter().copied()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::ClientAuth;

    #[test]
    fn a_configuration_replaces_variables_and_files() {
        let pair = |(one, other): (&str, &str)| (one.to_owned(), other.to_owned());
        let entry = CatalogueEntry {
            needs: Vec::new(),
            install: Install::Tool(OwnTool::Claude),
            files: vec![pair(("a", "1")), pair(("b", "1"))],
            command: Vec::new(),
            environment: vec![pair(("X", "1")), pair(("Y", "1")), pair(("Z", "1"))],
            ready: String::new(),
            client: ClientAuth::default(),
        };
        let configuration = Configuration {
            environment: [pair(("X", "2"))].into(),
            unset: vec!["Y".into()],
            configure: [pair(("a", "2"))].into(),
            ..Configuration::default()
        };
        let changed = configuration.applied_to(entry);
        assert_eq!(changed.environment, [pair(("Z", "1")), pair(("X", "2"))]);
        assert_eq!(changed.files, [pair(("b", "1")), pair(("a", "2"))]);
    }

    #[test]
    fn an_unknown_configuration_is_explained() {
        let bearer = Configuration {
            name: "bearer".into(),
            ..Configuration::default()
        };
        let all = Configurations(vec![bearer]);
        assert_eq!(all.called(DEFAULT), Ok(None));
        assert!(all.called("bearer").unwrap().is_some());
        let error = all.called("baerer").unwrap_err();
        assert_eq!(
            error,
            "the gateway has no configuration `baerer` (did you mean `bearer`?): it has `default`, `bearer`"
        );
    }
}
