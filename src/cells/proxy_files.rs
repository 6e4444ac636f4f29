//! The files of the gateway's configuration: `proxy_config.yaml` and what it includes, merged as LiteLLM merges them.
//!
//! Values come from `serde_yaml`; [`yaml::parse_leniently`] only finds their places.

use std::collections::VecDeque;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use indexmap::IndexMap;
use serde_yaml::Value;

use super::proxy_config::ReadFile;
use crate::catalogue::ConfiguredValues;
use crate::document::diagnostic::{LineColumn, Source};
use crate::document::{Diagnostic, KeyPath, Node, NodeValue, Span, written, yaml};
use crate::text::slip_of;

/// The sections that LiteLLM reads.
const SECTIONS: [&str; 5] = [
    "model_list",
    "litellm_settings",
    "general_settings",
    "router_settings",
    "environment_variables",
];

/// The key with the files to include.
const INCLUDE: &str = "include";

struct File {
    name: PathBuf,
    value: Value,
    /// `None` if the places cannot be found.
    node: Option<Node>,
    notes: Vec<Diagnostic>,
}

/// The files, in the order in which LiteLLM merges them.
pub(super) struct Files(Vec<File>);

impl Files {
    pub(super) fn read(file: &Path, bytes: &[u8], read: ReadFile<'_>) -> Result<Self, Vec<Diagnostic>> {
        let first = File::parse(file, bytes)?;
        let mut pending: VecDeque<_> = first.includes()?.into();
        let mut files = vec![first];
        while let Some((name, span)) = pending.pop_front() {
            // LiteLLM looks beside the including file, then beside the first one.
            let declared = span.source.file.parent().unwrap_or(Path::new(""));
            let beside =
                [declared, file.parent().unwrap_or(Path::new(""))].map(|folder| normal(&folder.join(&name)));
            if beside
                .iter()
                .any(|path| files.iter().any(|file| &file.name == path))
            {
                continue;
            }
            let found = beside.iter().find_map(|path| Some((path, read(path).ok()?)));
            let Some((path, bytes)) = found else {
                let why = read(&beside[0])
                    .err()
                    .and_then(|errors| errors.into_iter().next());
                let why = why.map_or_else(String::new, |error| format!(": {}", error.message));
                let message = format!("`{name}` cannot be included{why}");
                return Err(vec![
                    Diagnostic::at(&span, message)
                        .path(INCLUDE)
                        .found(format!("`{}`", beside[0].display()))
                        .hint("the path is relative to the file that includes it"),
                ]);
            };
            let included = File::parse(path, &bytes)?;
            pending.extend(included.includes()?);
            files.push(included);
        }
        Ok(Self(files))
    }

    /// The keys that are there twice.
    pub(super) fn notes(&self) -> Vec<Diagnostic> {
        self.0.iter().flat_map(|file| file.notes.clone()).collect()
    }

    pub(super) fn names(&self) -> Vec<PathBuf> {
        self.0.iter().map(|file| file.name.clone()).collect()
    }

    /// A list is extended by the included one; any other value is replaced, a map too.
    pub(super) fn merged(&self) -> Merged<'_> {
        let mut sections: IndexMap<String, Section> = IndexMap::new();
        for (number, file) in self.0.iter().enumerate() {
            for (key, value) in file.value.as_mapping().into_iter().flatten() {
                let Some(key) = key.as_str().filter(|key| *key != INCLUDE) else {
                    continue;
                };
                let items = value.as_sequence().map_or(0, Vec::len);
                let origins = (0..items).map(|index| (number, index));
                match (sections.get_mut(key), value) {
                    (
                        Some(Section {
                            value: Value::Sequence(known),
                            items,
                            ..
                        }),
                        Value::Sequence(new),
                    ) => {
                        known.extend(new.iter().cloned());
                        items.extend(origins);
                    }
                    _ => {
                        let section = Section {
                            value: value.clone(),
                            file: number,
                            items: origins.collect(),
                        };
                        sections.insert(key.to_owned(), section);
                    }
                }
            }
        }
        Merged {
            files: &self.0,
            sections,
        }
    }
}

/// The value of a file; `node` is what [`yaml::parse_leniently`] reads. `serde_yaml` refuses a key that is there twice. Of
/// PyYAML, which LiteLLM uses, the last one counts.
fn value(bytes: &[u8], node: Option<&Node>) -> Result<Value, serde_yaml::Error> {
    serde_yaml::from_slice(bytes).or_else(|error| match node {
        Some(node) if error.to_string().contains("duplicate entry") => serde_yaml::to_value(node.to_json()),
        _ => Err(error),
    })
}

/// The merged files with `settings` in place of their own, as JSON, which is YAML too.
pub fn proxy_text_with(
    file: &Path,
    bytes: &[u8],
    read: ReadFile<'_>,
    settings: &ConfiguredValues,
) -> Result<String, Vec<Diagnostic>> {
    let files = Files::read(file, bytes, read)?;
    let sections = files.merged().sections.into_iter();
    let values = sections.map(|(name, section)| Ok((name, serde_json::to_value(section.value)?)));
    let values: Result<serde_json::Map<_, _>, serde_json::Error> = values.collect();
    let mut values = values.map_err(|error| vec![Diagnostic::of_file(file, error.to_string())])?;
    for (section, own) in settings {
        let own = own.iter().map(|(name, value)| (name.clone(), value.clone()));
        match values.get_mut(section) {
            Some(serde_json::Value::Object(section)) => section.extend(own),
            _ => drop(values.insert(section.clone(), own.collect())),
        }
    }
    Ok(format!("{:#}\n", serde_json::Value::Object(values)))
}

/// The sections that are maps, in the merged files. [`proxy_text_with`] changes values of these.
pub fn proxy_map_sections(
    file: &Path,
    bytes: &[u8],
    read: ReadFile<'_>,
) -> Result<Vec<String>, Vec<Diagnostic>> {
    let files = Files::read(file, bytes, read)?;
    let sections = files.merged().sections.into_iter();
    let maps = sections.filter(|(_, section)| section.value.is_mapping());
    Ok(maps.map(|(name, _)| name).collect())
}

/// The value of one file of the gateway's configuration, before merge keys are applied.
pub fn proxy_file_value(bytes: &[u8]) -> Option<Value> {
    let places = yaml::parse_leniently(Path::new(""), bytes).ok();
    value(bytes, places.as_ref().map(|(node, _)| node)).ok()
}

impl File {
    fn parse(name: &Path, bytes: &[u8]) -> Result<Self, Vec<Diagnostic>> {
        let places = yaml::parse_leniently(name, bytes);
        let read = value(bytes, places.as_ref().ok().map(|(node, _)| node)).and_then(|mut value| {
            value.apply_merge()?;
            Ok(value)
        });
        let value = match (read, &places) {
            (Ok(value), _) => value,
            // These errors are better explained.
            (Err(_), Err(errors)) => return Err(errors.clone()),
            (Err(error), Ok(_)) => return Err(vec![not_yaml(name, bytes, &error)]),
        };
        if !value.is_mapping() {
            return Err(vec![
                Diagnostic::of_file(name, "the file is not a map").hint("it begins with `model_list:`"),
            ]);
        }
        Ok(Self {
            name: name.to_owned(),
            value,
            notes: places
                .as_ref()
                .map_or_else(|_| Vec::new(), |(_, notes)| notes.clone()),
            node: places.ok().map(|(node, _)| node),
        })
    }

    /// The entries of `include`, and their places.
    fn includes(&self) -> Result<Vec<(String, Span)>, Vec<Diagnostic>> {
        let Some(entries) = self.value.get(INCLUDE) else {
            return Ok(Vec::new());
        };
        let path = KeyPath::of(INCLUDE);
        let texts = entries.as_sequence().and_then(|entries| {
            let named = entries.iter().enumerate();
            named
                .map(|(index, entry)| Some((entry.as_str()?.to_owned(), self.span(&path.then(index).0))))
                .collect::<Option<Vec<_>>>()
        });
        texts.ok_or_else(|| {
            let error = Diagnostic::at(&self.span(&path.0), "`include` is not a list of files");
            vec![error.path(INCLUDE).hint("write `include: [models.yaml]`")]
        })
    }

    /// The place of the value at `path`; the whole file if it is not known.
    fn span(&self, path: &[String]) -> Span {
        let whole = || Span {
            source: Arc::new(Source {
                file: self.name.clone(),
                text: String::new(),
            }),
            ..Span::default()
        };
        self.node
            .as_ref()
            .map_or_else(whole, |node| span_of(node, path).clone())
    }
}

/// The place of the value at `path`, also behind merge keys. Where the path ends early, the last place on it.
fn span_of<'a>(mut node: &'a Node, path: &[String]) -> &'a Span {
    let mut span = &node.span;
    for step in path {
        let entry = match &node.value {
            NodeValue::List(items) => {
                let Some(item) = step.parse().ok().and_then(|index: usize| items.get(index)) else {
                    return span;
                };
                (node, span) = (item, &item.span);
                continue;
            }
            _ => entry_of(node, step),
        };
        let Some((key_span, value)) = entry else {
            return span;
        };
        node = value;
        span = match value.value {
            NodeValue::List(_) | NodeValue::Map(_) | NodeValue::Null => key_span,
            _ => &value.span,
        };
    }
    span
}

fn entry_of<'a>(map: &'a Node, key: &str) -> Option<(&'a Span, &'a Node)> {
    if let Some(entry) = map.get(key) {
        return Some((&entry.key_span, &entry.value));
    }
    let merged = &map.get("<<")?.value;
    match &merged.value {
        NodeValue::List(maps) => maps.iter().find_map(|map| entry_of(map, key)),
        _ => entry_of(merged, key),
    }
}

fn not_yaml(name: &Path, bytes: &[u8], error: &serde_yaml::Error) -> Diagnostic {
    let text = error.to_string();
    let message = text.split(" at line ").next().unwrap_or(&text);
    let message = format!("LiteLLM cannot read this file: {message}");
    match error.location() {
        None => Diagnostic::of_file(name, message),
        Some(location) => {
            let start = LineColumn {
                line: location.line(),
                column: location.column(),
            };
            let end = LineColumn {
                column: start.column + 1,
                ..start
            };
            let source = Arc::new(Source {
                file: name.to_owned(),
                text: String::from_utf8_lossy(bytes).into_owned(),
            });
            Diagnostic::at(&Span { source, start, end }, message)
        }
    }
}

/// `path` without `.` and `..`.
fn normal(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut normal, component| {
        match component {
            Component::CurDir => {}
            Component::ParentDir if normal.file_name().is_some() => {
                normal.pop();
            }
            other => normal.push(other),
        }
        normal
    })
}

/// A value of the first level, and where it comes from.
struct Section {
    value: Value,
    file: usize,
    /// The file of each item of a list, and its index there.
    items: Vec<(usize, usize)>,
}

/// The configuration that LiteLLM uses.
pub(super) struct Merged<'a> {
    files: &'a [File],
    sections: IndexMap<String, Section>,
}

impl Merged<'_> {
    pub(super) fn value(&self, key: &str) -> Option<&Value> {
        Some(&self.sections.get(key)?.value)
    }

    /// The value at `path`.
    pub(super) fn at(&self, path: &[&str]) -> Option<&Value> {
        let (first, rest) = path.split_first()?;
        rest.iter()
            .try_fold(self.value(first)?, |value, key| value.get(*key))
    }

    /// The sections that are named almost like one of LiteLLM's, which it would not read.
    pub(super) fn misnamed(&self) -> Vec<Diagnostic> {
        let note = |name: &String| {
            let close = slip_of(name, SECTIONS)?;
            let note = self.error(
                &KeyPath::of(name),
                format!("LiteLLM ignores the section `{name}`"),
            );
            Some(note.hint(format!("did you mean `{close}`?")).note())
        };
        self.sections.keys().filter_map(note).collect()
    }

    /// An error at the value that `path` leads to.
    pub(super) fn error(&self, path: &KeyPath, message: impl Into<String>) -> Diagnostic {
        let mut steps = path.0.clone();
        let section = steps.first().and_then(|key| self.sections.get(key));
        let index: Option<usize> = steps.get(1).and_then(|step| step.parse().ok());
        let file = match (section, index) {
            (Some(section), Some(index)) if index < section.items.len() => {
                let (file, index) = section.items[index];
                steps[1] = index.to_string();
                file
            }
            (Some(section), _) => section.file,
            (None, _) => 0,
        };
        Diagnostic::at(&self.files[file].span(&steps), message).path(written(&steps))
    }
}
