//! YAML text to a tree of values that know where they stand.
//!
//! Scalars are read by the core schema of YAML 1.2. What a reader could take for something else is a fault, not
//! a guess: a key that is there twice, `yes` without quotes, a second document, a tag, a merge key. Never reads a
//! file; never grows without bound, whatever the text.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use saphyr_parser::{Event, Parser, ScalarStyle};

use super::diagnostic::{Diagnostic, Position, Source, Span};
use super::node::{Entry, Node, NodeValue};
use super::scalar::{is_too_large, is_unclear, plain};
use super::syntax::{Of, SyntaxError, in_words};

/// The most bytes that a file of the project may have.
pub const MAX_BYTES: usize = 1_000_000;

/// The most values that a file may come to once its aliases are replaced.
const MAX_NODES: usize = 100_000;

/// The most levels of lists and maps within each other.
const MAX_DEPTH: usize = 64;

/// Reads the one document of `bytes`, the content of `file`.
pub fn parse(file: &Path, bytes: &[u8]) -> Result<Node, Vec<Diagnostic>> {
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
    Tree::new(Arc::new(Source {
        file: file.to_owned(),
        text: text.to_owned(),
    }))
    .read()
}

/// The fault of a file that has more than [`MAX_BYTES`].
pub fn too_large(file: &Path, bytes: u64) -> Diagnostic {
    Diagnostic::of_file(file, "the file is too large")
        .found(format!("{bytes} bytes"))
        .allowed(format!("at most {MAX_BYTES} bytes"))
        .hint("put images and documents into files of their own and name them")
}

fn empty(file: &Path) -> Diagnostic {
    let fault = Diagnostic::of_file(file, "the file is empty");
    match file.starts_with("cells") {
        true => fault.hint("`docs/cells.md` shows what belongs here"),
        false => fault,
    }
}

fn not_utf8(file: &Path, bytes: &[u8], valid_up_to: usize) -> Diagnostic {
    let before = String::from_utf8_lossy(&bytes[..valid_up_to]);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    let position = Position { line, column };
    let span = Span {
        source: Arc::new(Source {
            file: file.to_owned(),
            text: String::from_utf8_lossy(bytes).into_owned(),
        }),
        start: position,
        end: Position {
            line,
            column: column + 1,
        },
    };
    Diagnostic::at(&span, "the file is not UTF-8")
        .found(format!("the byte 0x{:02x}", bytes[valid_up_to]))
        .hint("save the file as UTF-8")
}

/// A list or map whose end has not come yet.
struct Open {
    span: Span,
    anchor: usize,
    kind: OpenKind,
}

enum OpenKind {
    List(Vec<Node>),
    Map {
        entries: Vec<Entry>,
        known: HashMap<String, usize>,
        key: Option<Key>,
    },
}

enum Key {
    Usable(String, Span),
    Unusable,
}

struct Tree {
    source: Arc<Source>,
    open: Vec<Open>,
    anchors: HashMap<usize, (Node, usize)>,
    nodes: usize,
    root: Option<Node>,
    faults: Vec<Diagnostic>,
}

impl Tree {
    fn new(source: Arc<Source>) -> Self {
        Self {
            source,
            open: Vec::new(),
            anchors: HashMap::new(),
            nodes: 0,
            root: None,
            faults: Vec::new(),
        }
    }

    fn read(mut self) -> Result<Node, Vec<Diagnostic>> {
        let source = Arc::clone(&self.source);
        let mut documents = 0;
        for event in Parser::new_from_str(&source.text) {
            let (event, span) = match event {
                Ok((event, span)) => (event, self.span(span)),
                Err(error) => {
                    let fault = self.syntax(error.marker(), error.info());
                    self.faults.push(fault);
                    return Err(self.faults);
                }
            };
            if matches!(event, Event::DocumentStart(_)) {
                documents += 1;
                if documents > 1 {
                    let fault = Diagnostic::at(&span, "a second document begins here")
                        .hint("a file holds one document: remove `---`");
                    self.faults.push(fault);
                    return Err(self.faults);
                }
            }
            if let Err(fault) = self.take(event, span) {
                self.faults.push(*fault);
                return Err(self.faults);
            }
        }
        match self.root {
            _ if !self.faults.is_empty() => Err(self.faults),
            Some(node) if node.value != NodeValue::Null => Ok(node),
            _ => Err(vec![empty(&self.source.file)]),
        }
    }

    fn span(&self, span: saphyr_parser::Span) -> Span {
        Span {
            source: Arc::clone(&self.source),
            start: position(span.start),
            end: position(span.end),
        }
    }

    fn syntax(&self, marker: &saphyr_parser::Marker, info: &str) -> Diagnostic {
        let start = position(*marker);
        let line = self.source.line(start.line);
        let end = Position {
            column: start.column + 1,
            ..start
        };
        let source = Arc::clone(&self.source);
        let indented_by_tab = line
            .chars()
            .take_while(|character| character.is_whitespace())
            .any(|character| character == '\t');
        let span = Span { source, start, end };
        if info.contains("recursion limit") {
            return too_deep(&span);
        }
        if indented_by_tab || info.contains("found a tab") {
            return Diagnostic::at(&span, "this is not YAML: a tab where only spaces may be")
                .found("a tab in the indentation")
                .hint("indent by spaces: YAML does not take tabs");
        }
        let SyntaxError { message, hint, of } = in_words(info);
        let fault = Diagnostic::at(&span, format!("this is not YAML: {message}"));
        match (of, self.unclosed_bracket()) {
            (Of::Text, _) => fault.hint(hint),
            (Of::Structure, Some((bracket, opened))) => fault
                .related(
                    opened.place(),
                    format!("`{bracket}` is opened here and not closed"),
                )
                .hint(format!("close `{bracket}` before this line")),
            (Of::Structure, None) => match self.key_without_space(start.line) {
                Some(key) => fault.hint(format!(
                    "line {} lacks a space after `{key}:`",
                    start.line.saturating_sub(1)
                )),
                None => fault.hint(hint),
            },
        }
    }

    /// The key of the line before `line`, if its value stands at its `:` without a space between.
    fn key_without_space(&self, line: usize) -> Option<&str> {
        let before = self.source.line(line.checked_sub(1)?);
        let (key, value) = before.trim_start_matches([' ', '-']).split_once(':')?;
        let is_key = !key.is_empty()
            && key
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        (is_key && value.starts_with(|first: char| first.is_ascii_alphanumeric())).then_some(key)
    }

    /// The innermost `[` or `{` that nothing has closed yet.
    fn unclosed_bracket(&self) -> Option<(char, &Span)> {
        let span = &self.open.last()?.span;
        let line = self.source.line(span.start.line);
        let first = line.chars().nth(span.start.column - 1)?;
        matches!(first, '[' | '{').then_some((first, span))
    }

    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Box<Diagnostic>> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse_tag(tag.is_some(), &span)?;
                self.scalar(&text, style, anchor, span)
            }
            Event::SequenceStart(anchor, tag) => {
                self.refuse_tag(tag.is_some(), &span)?;
                self.open(span, anchor, OpenKind::List(Vec::new()))
            }
            Event::MappingStart(anchor, tag) => {
                self.refuse_tag(tag.is_some(), &span)?;
                self.open(
                    span,
                    anchor,
                    OpenKind::Map {
                        entries: Vec::new(),
                        known: HashMap::new(),
                        key: None,
                    },
                )
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            Event::Alias(anchor) => self.alias(anchor, span),
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd => Ok(()),
        }
    }

    fn refuse_tag(&self, tagged: bool, span: &Span) -> Result<(), Box<Diagnostic>> {
        match tagged {
            true => Err(Box::new(
                Diagnostic::at(span, "a YAML tag (`!…`) has no meaning here")
                    .hint("quote the text if it begins with `!`, else remove the tag"),
            )),
            false => Ok(()),
        }
    }

    fn scalar(
        &mut self,
        text: &str,
        style: ScalarStyle,
        anchor: usize,
        span: Span,
    ) -> Result<(), Box<Diagnostic>> {
        let value = match style {
            ScalarStyle::Plain => plain(text),
            _ => NodeValue::Text(text.to_owned()),
        };
        if self.wants_key() {
            return self.key(text, &value, span);
        }
        if matches!(&value, NodeValue::Number(number) if is_too_large(number)) {
            self.faults.push(
                Diagnostic::at(&span, format!("the number `{text}` is too large"))
                    .hint(format!("quote it if it is meant as a text: `\"{text}\"`")),
            );
        }
        if style == ScalarStyle::Plain && is_unclear(text) {
            let boolean = matches!(text.to_ascii_lowercase().as_str(), "yes" | "on");
            self.faults.push(
                Diagnostic::at(
                    &span,
                    format!("`{text}` is a boolean to some YAML readers and a text to others"),
                )
                .found(format!("`{text}` without quotes"))
                .hint(format!(
                    "write `{boolean}` for the boolean, or `\"{text}\"` for the text"
                )),
            );
        }
        self.place(Node { span, value }, anchor, 1)
    }

    fn wants_key(&self) -> bool {
        matches!(
            self.open.last(),
            Some(Open {
                kind: OpenKind::Map { key: None, .. },
                ..
            })
        )
    }

    fn key(&mut self, text: &str, value: &NodeValue, span: Span) -> Result<(), Box<Diagnostic>> {
        let usable = match value {
            NodeValue::Text(_) if text == "<<" => {
                self.faults.push(
                    Diagnostic::at(&span, "merge keys (`<<`) are not read").hint(
                        "write the keys out; what a feature's cells share goes into its `_shared.yaml`",
                    ),
                );
                false
            }
            NodeValue::Text(_) => true,
            _ => {
                let fault = Diagnostic::at(&span, "a key must be a text");
                self.faults.push(match text {
                    "" => fault.found("nothing").hint("write the key before the `:`"),
                    text => fault
                        .found(format!("`{text}`"))
                        .hint(format!("quote it: `\"{text}\"`")),
                });
                false
            }
        };
        let Some(Open {
            kind: OpenKind::Map { entries, known, key },
            ..
        }) = self.open.last_mut()
        else {
            return Ok(());
        };
        let first = known.get(text).map(|index| entries[*index].key_span.place());
        *key = Some(match first {
            _ if !usable => Key::Unusable,
            None => Key::Usable(text.to_owned(), span),
            Some(first) => {
                self.faults.push(
                    Diagnostic::at(&span, format!("the key `{text}` is there twice"))
                        .related(first, "it stands here already")
                        .hint("keep one of the two"),
                );
                Key::Unusable
            }
        });
        Ok(())
    }

    fn open(&mut self, span: Span, anchor: usize, kind: OpenKind) -> Result<(), Box<Diagnostic>> {
        if self.wants_key() {
            return Err(Box::new(
                Diagnostic::at(&span, "a key must be a text")
                    .found("a list or map as a key")
                    .hint("a text that begins with `[` or `{` needs quotes"),
            ));
        }
        if self.open.len() == MAX_DEPTH {
            return Err(Box::new(too_deep(&span)));
        }
        self.open.push(Open { span, anchor, kind });
        Ok(())
    }

    fn close(&mut self) -> Result<(), Box<Diagnostic>> {
        let Some(Open { span, anchor, kind }) = self.open.pop() else {
            return Ok(());
        };
        let value = match kind {
            OpenKind::List(items) => NodeValue::List(items),
            OpenKind::Map { entries, .. } => NodeValue::Map(entries),
        };
        self.place(Node { span, value }, anchor, 1)
    }

    fn alias(&mut self, anchor: usize, span: Span) -> Result<(), Box<Diagnostic>> {
        if self.wants_key() {
            return Err(Box::new(
                Diagnostic::at(&span, "a key must be a text").found("an alias as a key"),
            ));
        }
        let Some((node, nodes)) = self.anchors.get(&anchor) else {
            return Err(Box::new(
                Diagnostic::at(&span, "an alias of the value that it stands in")
                    .hint("a value cannot hold itself"),
            ));
        };
        // Counted before it is copied: nine levels of nine aliases would be a billion values.
        let nodes = *nodes;
        if self.nodes + nodes > MAX_NODES {
            return Err(Box::new(
                Diagnostic::at(&span, "aliases make this file too large")
                    .found(format!("{} values", self.nodes + nodes))
                    .allowed(format!("at most {MAX_NODES} values once each alias is replaced")),
            ));
        }
        let node = node.clone();
        if self.open.len() + depth(&node) > MAX_DEPTH {
            return Err(Box::new(too_deep(&span)));
        }
        self.place(node, 0, nodes)
    }

    /// Puts a finished value where it belongs; it and what is in it are `nodes` values, those in it counted already
    /// unless it came by an alias.
    fn place(&mut self, node: Node, anchor: usize, nodes: usize) -> Result<(), Box<Diagnostic>> {
        self.nodes += nodes;
        if self.nodes > MAX_NODES {
            return Err(Box::new(
                Diagnostic::at(&node.span, "the file holds too many values")
                    .allowed(format!("at most {MAX_NODES}")),
            ));
        }
        if anchor != 0 {
            let size = size(&node);
            self.anchors.insert(anchor, (node.clone(), size));
            // The copy that the anchor keeps counts as well: it takes the same memory.
            self.nodes += size;
        }
        match self.open.last_mut().map(|open| &mut open.kind) {
            None => self.root = Some(node),
            Some(OpenKind::List(items)) => items.push(node),
            Some(OpenKind::Map { entries, known, key }) => {
                if let Some(Key::Usable(key, key_span)) = key.take() {
                    known.insert(key.clone(), entries.len());
                    entries.push(Entry {
                        key,
                        key_span,
                        value: node,
                    });
                }
            }
        }
        Ok(())
    }
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

fn position(marker: saphyr_parser::Marker) -> Position {
    Position {
        line: marker.line().max(1),
        column: marker.col() + 1,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(text: &str) -> Value {
        let node = parse(Path::new("file.yaml"), text.as_bytes()).expect("YAML without faults");
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
