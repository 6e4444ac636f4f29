//! YAML text to a tree of values with their places.
//!
//! Scalars follow the core schema of YAML 1.2. Ambiguous text is an error, not a guess: a key twice, `yes` without quotes,
//! a second document, a tag, a merge key. Reads no file. Its memory is bounded for every text.

mod slips;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use indexmap::IndexMap;
use saphyr_parser::{Event, Parser, ScalarStyle};

use super::diagnostic::{Diagnostic, LineColumn, Source, Span};
use super::node::{Entry, Node, NodeValue};
use super::scalar::{is_too_large, is_unclear, plain};

/// The most bytes of a file.
pub const MAX_BYTES: usize = 1_000_000;

/// The most values of a file with each alias replaced by its value.
const MAX_NODES: usize = 100_000;

/// The key whose value is merged into its map: <https://yaml.org/type/merge.html>.
const MERGE: &str = "<<";

/// The most levels of nested lists and maps.
const MAX_DEPTH: usize = 64;

/// Reads the one document of `bytes`, the content of `file`.
pub fn parse(file: &Path, bytes: &[u8]) -> Result<Node, Vec<Diagnostic>> {
    Ok(Tree::new(source(file, bytes)?).read()?.0)
}

/// Reads another program's file, to find the places of its values. It accepts what YAML allows and [`parse`] refuses: merge
/// keys (the key `<<`, also twice: then its value is the list of both), a key twice (the last one counts), `yes` without
/// quotes, keys that are no texts. Returns a note for each key that is there twice, too.
pub fn parse_leniently(file: &Path, bytes: &[u8]) -> Result<(Node, Vec<Diagnostic>), Vec<Diagnostic>> {
    let tree = Tree::new(source(file, bytes)?);
    Tree {
        lenient: true,
        ..tree
    }
    .read()
}

/// The checked text of `file`.
fn source(file: &Path, bytes: &[u8]) -> Result<Arc<Source>, Vec<Diagnostic>> {
    if bytes.len() > MAX_BYTES {
        return Err(vec![too_large(file, bytes.len() as u64)]);
    }
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return Err(vec![
            Diagnostic::of_file(file, "the file is not UTF-8")
                .found("the byte order mark of UTF-16")
                .hint("save the file as UTF-8"),
        ]);
    }
    let text =
        std::str::from_utf8(bytes).map_err(|error| vec![not_utf8(file, bytes, error.valid_up_to())])?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    Ok(Arc::new(Source {
        file: file.to_owned(),
        text: text.to_owned(),
    }))
}

/// The error for a file of more than [`MAX_BYTES`].
pub fn too_large(file: &Path, bytes: u64) -> Diagnostic {
    Diagnostic::of_file(file, "the file is too large")
        .found(format!("{bytes} bytes"))
        .allowed(format!("at most {MAX_BYTES} bytes"))
        .hint("put images and documents into separate files and name them")
}

fn empty(file: &Path) -> Diagnostic {
    let mut error = Diagnostic::of_file(file, "the file is empty");
    (error.place.line, error.place.column) = (1, 1);
    match file.starts_with("cells") {
        true => error.hint("`docs/cells.md` describes the content"),
        false => error,
    }
}

fn not_utf8(file: &Path, bytes: &[u8], valid_up_to: usize) -> Diagnostic {
    let before = String::from_utf8_lossy(&bytes[..valid_up_to]);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    let position = LineColumn { line, column };
    let span = Span {
        source: Arc::new(Source {
            file: file.to_owned(),
            text: String::from_utf8_lossy(bytes).into_owned(),
        }),
        start: position,
        end: LineColumn {
            line,
            column: column + 1,
        },
    };
    Diagnostic::at(&span, "the file is not UTF-8")
        .found(format!("the byte 0x{:02x}", bytes[valid_up_to]))
        .hint("save the file as UTF-8")
}

/// A list or map whose end the parser has not reached yet.
struct Open {
    span: Span,
    anchor: usize,
    kind: OpenKind,
}

enum OpenKind {
    List(Vec<Node>),
    Map {
        entries: IndexMap<String, Entry>,
        /// The key whose value comes next.
        key: Option<Key>,
    },
}

enum Key {
    Usable(String, Span),
    Unusable,
}

struct Tree {
    source: Arc<Source>,
    lenient: bool,
    open: Vec<Open>,
    /// The value of each anchor, and its size.
    anchors: HashMap<usize, (Node, usize)>,
    nodes: usize,
    root: Option<Node>,
    errors: Vec<Diagnostic>,
    notes: Vec<Diagnostic>,
}

impl Tree {
    fn new(source: Arc<Source>) -> Self {
        Self {
            source,
            lenient: false,
            open: Vec::new(),
            anchors: HashMap::new(),
            nodes: 0,
            root: None,
            errors: Vec::new(),
            notes: Vec::new(),
        }
    }

    fn read(mut self) -> Result<(Node, Vec<Diagnostic>), Vec<Diagnostic>> {
        let source = Arc::clone(&self.source);
        for event in Parser::new_from_str(&source.text) {
            let taken = match event {
                Ok((event, span)) => self.take(event, self.span(span)),
                Err(error) => self.stop(self.syntax(error.marker(), error.info())),
            };
            if taken.is_none() {
                break;
            }
        }
        match self.root {
            _ if !self.errors.is_empty() => Err(self.errors),
            Some(node) if node.value != NodeValue::Null => Ok((node, self.notes)),
            _ => Err(vec![empty(&self.source.file)]),
        }
    }

    /// Reports an error after which the rest of the file cannot be read.
    fn stop(&mut self, error: Diagnostic) -> Option<()> {
        self.errors.push(error);
        None
    }

    fn span(&self, span: saphyr_parser::Span) -> Span {
        Span {
            source: Arc::clone(&self.source),
            start: position(span.start),
            end: position(span.end),
        }
    }

    fn take(&mut self, event: Event<'_>, span: Span) -> Option<()> {
        match event {
            Event::Scalar(.., Some(_))
            | Event::SequenceStart(_, Some(_))
            | Event::MappingStart(_, Some(_)) => {
                let error = Diagnostic::at(&span, "a YAML tag (`!…`) has no meaning here");
                self.stop(error.hint("quote the text if it begins with `!`, else remove the tag"))
            }
            Event::Scalar(text, style, anchor, None) => self.scalar(&text, style, anchor, span),
            Event::SequenceStart(anchor, None) => self.open(span, anchor, OpenKind::List(Vec::new())),
            Event::MappingStart(anchor, None) => {
                let (entries, key) = (IndexMap::new(), None);
                self.open(span, anchor, OpenKind::Map { entries, key })
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            Event::Alias(anchor) => self.alias(anchor, span),
            Event::DocumentStart(_) if self.root.is_some() => {
                let error = Diagnostic::at(&span, "a second document begins here");
                self.stop(error.hint("a file contains one document: remove `---`"))
            }
            _ => Some(()),
        }
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, anchor: usize, span: Span) -> Option<()> {
        let value = match style {
            ScalarStyle::Plain => plain(text),
            _ => NodeValue::Text(text.to_owned()),
        };
        if self.wants_key() {
            self.key(text, &value, span);
            return Some(());
        }
        if self.lenient {
            return self.place(Node { span, value }, anchor, 1);
        }
        if matches!(&value, NodeValue::Number(number) if is_too_large(number)) {
            let error = Diagnostic::at(&span, format!("the number `{text}` is too large"));
            self.errors
                .push(error.hint(format!("quote it if it is a text: `\"{text}\"`")));
        }
        if style == ScalarStyle::Plain && is_unclear(text) {
            let boolean = matches!(text.to_ascii_lowercase().as_str(), "yes" | "on");
            let message = format!("`{text}` is a boolean to some YAML readers and a text to others");
            let error = Diagnostic::at(&span, message).found(format!("`{text}` without quotes"));
            self.errors.push(error.hint(format!(
                "write `{boolean}` for the boolean, or `\"{text}\"` for the text"
            )));
        }
        self.place(Node { span, value }, anchor, 1)
    }

    fn wants_key(&self) -> bool {
        let innermost = self.open.last().map(|open| &open.kind);
        matches!(innermost, Some(OpenKind::Map { key: None, .. }))
    }

    fn key(&mut self, text: &str, value: &NodeValue, span: Span) {
        let Some(OpenKind::Map { entries, key }) = self.open.last_mut().map(|open| &mut open.kind) else {
            return;
        };
        if self.lenient {
            if let Some(first) = entries.get(text).filter(|_| text != MERGE) {
                let note = Diagnostic::at(
                    &span,
                    format!("the key `{text}` is there twice, and the last one counts"),
                )
                .related(first.key_span.place(), "the first one is here")
                .hint("keep one of the two");
                // The line may contain a secret.
                self.notes.push(Diagnostic { span: None, ..note }.note());
            }
            *key = Some(Key::Usable(text.to_owned(), span));
            return;
        }
        let error = match value {
            NodeValue::Text(_) if text == MERGE => {
                Diagnostic::at(&span, "merge keys (`<<`) are not supported").hint(
                    "write the keys out, or put what the cells of a feature share into its `_shared.yaml`",
                )
            }
            NodeValue::Text(_) => match entries.get(text) {
                Some(first) => Diagnostic::at(&span, format!("the key `{text}` is there twice"))
                    .related(first.key_span.place(), "the first one is here")
                    .hint("keep one of the two"),
                None => {
                    *key = Some(Key::Usable(text.to_owned(), span));
                    return;
                }
            },
            _ if text.is_empty() => Diagnostic::at(&span, "a key must be a text")
                .found("nothing")
                .hint("write the key before the `:`"),
            _ => Diagnostic::at(&span, "a key must be a text")
                .found(format!("`{text}`"))
                .hint(format!("quote it: `\"{text}\"`")),
        };
        *key = Some(Key::Unusable);
        self.errors.push(error);
    }

    fn open(&mut self, span: Span, anchor: usize, kind: OpenKind) -> Option<()> {
        if self.wants_key() {
            let error = Diagnostic::at(&span, "a key must be a text").found("a list or map as a key");
            return self.stop(error.hint("a text that begins with `[` or `{` needs quotes"));
        }
        if self.open.len() == MAX_DEPTH {
            return self.stop(too_deep(&span));
        }
        self.open.push(Open { span, anchor, kind });
        Some(())
    }

    fn close(&mut self) -> Option<()> {
        let Open { span, anchor, kind } = self.open.pop()?;
        let value = match kind {
            OpenKind::List(items) => NodeValue::List(items),
            OpenKind::Map { entries, .. } => NodeValue::Map(entries.into_values().collect()),
        };
        self.place(Node { span, value }, anchor, 1)
    }

    fn alias(&mut self, anchor: usize, span: Span) -> Option<()> {
        if self.wants_key() {
            return self.stop(Diagnostic::at(&span, "a key must be a text").found("an alias as a key"));
        }
        let Some((node, nodes)) = self.anchors.get(&anchor) else {
            let error = Diagnostic::at(&span, "this alias is inside the value that it names");
            return self.stop(error.hint("a value cannot contain itself"));
        };
        // Count the values before copying them: nine levels of nine aliases would be a billion values.
        let nodes = *nodes;
        if self.nodes + nodes > MAX_NODES {
            let error = Diagnostic::at(&span, "aliases make this file too large");
            let error = error.found(format!("{} values", self.nodes + nodes));
            return self
                .stop(error.allowed(format!("at most {MAX_NODES} values once each alias is replaced")));
        }
        let node = node.clone();
        if self.open.len() + depth(&node) > MAX_DEPTH {
            return self.stop(too_deep(&span));
        }
        self.place(node, 0, nodes)
    }

    /// Adds a finished value to the innermost open list or map. `nodes` values are counted for it: only itself, since its content
    /// is counted already, or all values of an alias.
    fn place(&mut self, node: Node, anchor: usize, nodes: usize) -> Option<()> {
        self.nodes += nodes;
        if self.nodes > MAX_NODES {
            let error = Diagnostic::at(&node.span, "the file contains too many values");
            return self.stop(error.allowed(format!("at most {MAX_NODES}")));
        }
        if anchor != 0 {
            let size = size(&node);
            self.anchors.insert(anchor, (node.clone(), size));
            // The copy for the anchor counts too: it takes the same memory.
            self.nodes += size;
        }
        match self.open.last_mut().map(|open| &mut open.kind) {
            None => self.root = Some(node),
            Some(OpenKind::List(items)) => items.push(node),
            Some(OpenKind::Map { entries, key }) => {
                if let Some(Key::Usable(key, key_span)) = key.take() {
                    let earlier = entries.get_mut(&key).filter(|_| self.lenient && key == MERGE);
                    if let Some(earlier) = earlier {
                        earlier.value = both(earlier.value.clone(), node);
                        return Some(());
                    }
                    let entry = Entry {
                        key: key.clone(),
                        key_span,
                        value: node,
                    };
                    entries.insert(key, entry);
                }
            }
        }
        Some(())
    }
}

/// The values of two merge keys as a list.
fn both(first: Node, second: Node) -> Node {
    let items = |node: &Node| match &node.value {
        NodeValue::List(items) => items.clone(),
        _ => vec![node.clone()],
    };
    let value = NodeValue::List([items(&first), items(&second)].concat());
    Node { value, ..first }
}

fn too_deep(span: &Span) -> Diagnostic {
    Diagnostic::at(span, "lists and maps are nested too deep").allowed(format!("at most {MAX_DEPTH} levels"))
}

fn size(node: &Node) -> usize {
    1 + match &node.value {
        NodeValue::List(items) => items.iter().map(size).sum(),
        NodeValue::Map(entries) => entries.iter().map(|entry| size(&entry.value)).sum(),
        _ => 0,
    }
}

fn depth(node: &Node) -> usize {
    match &node.value {
        NodeValue::List(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        NodeValue::Map(entries) => 1 + entries.iter().map(|entry| depth(&entry.value)).max().unwrap_or(0),
        _ => 0,
    }
}

fn position(marker: saphyr_parser::Marker) -> LineColumn {
    LineColumn {
        line: marker.line().max(1),
        column: marker.col() + 1,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(text: &str) -> Value {
        let node = parse(Path::new("file.yaml"), text.as_bytes()).expect("valid YAML");
        node.to_json()
    }

    #[test]
    fn scalars_are_those_of_the_core_schema() {
        let cases = [
            ("a: ", json!(null)),
            ("a: ~", json!(null)),
            ("a: true", json!(true)),
            ("a: FALSE", json!(false)),
            ("a: 42", json!(42)),
            ("a: -7", json!(-7)),
            ("a: +7", json!(7)),
            ("a: 0o17", json!(15)),
            ("a: 0xff", json!(255)),
            ("a: 18446744073709551615", json!(u64::MAX)),
            ("a: 1.5", json!(1.5)),
            ("a: .5", json!(0.5)),
            ("a: 1e3", json!(1000)),
            ("a: 1.0", json!(1)),
            ("a: .inf", json!(".inf")),
            ("a: 1e999", json!("1e999")),
            ("a: 1.2.3", json!("1.2.3")),
            ("a: 2026-11-21", json!("2026-11-21")),
            ("a: 1:30", json!("1:30")),
            ("a: y", json!("y")),
            ("a: \"42\"", json!("42")),
            ("a: 'yes'", json!("yes")),
            ("a: |\n  two\n  lines\n", json!("two\nlines\n")),
            ("a: >-\n  one\n  line\n", json!("one line")),
        ];
        for (text, wanted) in cases {
            assert_eq!(read(text)["a"], wanted, "{text}");
        }
    }

    #[test]
    fn an_alias_is_the_value_of_its_anchor() {
        assert_eq!(
            read("a: &x [1, { b: 2 }]\nc: *x\n"),
            json!({ "a": [1, { "b": 2 }], "c": [1, { "b": 2 }] })
        );
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_the_text() {
        assert_eq!(read("\u{feff}a: 1"), json!({ "a": 1 }));
    }

    #[test]
    fn places_are_counted_in_characters_from_one() {
        let node = parse(Path::new("file.yaml"), "ä: 1\n\"ö ü\":   [x, yé]\n".as_bytes()).expect("YAML");
        let span = node.span_at(&["ö ü".to_owned(), "1".to_owned()]);
        assert_eq!((span.start.line, span.start.column, span.end.column), (2, 14, 16));
    }
}
