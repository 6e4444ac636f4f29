//! The changes of the published matrix, as an Atom feed (RFC 4287).
#![warn(clippy::disallowed_methods)]

use std::iter::once;

use atom_syndication::{Content, Entry, Feed, Link, Person, Text};

use super::history::{History, Snapshot};
use crate::results::StatusWord;
use crate::text::counted;

/// The feed of `history`, the newest entry first. A snapshot without a changed cell has no entry. `page` is the address of the
/// page that shows the matrix; it is also the feed's id. If `is_cut`, older revisions were not read, so nothing is known of the
/// changes of the oldest snapshot: it has no entry.
pub fn of_history(history: &History, is_cut: bool, page: &str) -> String {
    let snapshots = &history.snapshots;
    let earlier = once(None).chain(snapshots.iter().map(Some));
    let mut entries: Vec<Entry> = earlier
        .zip(snapshots)
        .skip(usize::from(is_cut))
        .filter_map(|(earlier, snapshot)| entry(earlier, snapshot, page))
        .collect();
    entries.reverse();
    let updated = match (entries.first(), snapshots.last()) {
        (Some(newest), _) => newest.updated,
        (None, Some(snapshot)) => snapshot.generated_at.fixed_offset(),
        (None, None) => chrono::DateTime::UNIX_EPOCH.fixed_offset(),
    };
    let feed = Feed {
        title: Text::plain("Claude Code through LiteLLM: changes of the compatibility matrix"),
        id: page.to_owned(),
        updated,
        authors: vec![Person {
            name: "compat-matrix".to_owned(),
            ..Person::default()
        }],
        links: vec![link(page.to_owned())],
        entries,
        ..Feed::default()
    };
    feed.to_string()
}

fn link(href: String) -> Link {
    Link {
        href,
        ..Link::default()
    }
}

fn entry(earlier: Option<&Snapshot>, snapshot: &Snapshot, page: &str) -> Option<Entry> {
    let lines = match earlier {
        Some(earlier) => changes(earlier, snapshot),
        None => vec![format!("The first matrix: {}", counts(snapshot))],
    };
    if lines.is_empty() {
        return None;
    }
    let versions = format!(
        "LiteLLM {}, Claude Code {}",
        snapshot.litellm_version, snapshot.claude_code_version
    );
    let title = match earlier {
        Some(_) => format!("{versions}: {}", counted(lines.len(), "changed cell")),
        None => format!("{versions}: the first matrix"),
    };
    Some(Entry {
        title: Text::plain(title),
        id: format!("{page}#{}", snapshot.commit),
        updated: snapshot.generated_at.fixed_offset(),
        links: vec![link(page.to_owned())],
        content: Some(Content {
            value: Some(lines.join("\n")),
            content_type: Some("text".to_owned()),
            ..Content::default()
        }),
        ..Entry::default()
    })
}

/// Each cell whose status is another one, in the order of rows and columns.
fn changes(earlier: &Snapshot, snapshot: &Snapshot) -> Vec<String> {
    let cells = |snapshot: &Snapshot| {
        let rows = snapshot.cells.iter();
        rows.flat_map(|(feature, row)| {
            let row = row.iter();
            row.map(move |(provider, status)| (format!("{feature} on {provider}"), *status))
        })
        .collect::<indexmap::IndexMap<String, StatusWord>>()
    };
    let (old, new) = (cells(earlier), cells(snapshot));
    let changed = new.iter().filter_map(|(cell, status)| match old.get(cell) {
        Some(before) if before == status => None,
        Some(before) => Some(format!("{cell}: {} → {}", before.as_str(), status.as_str())),
        None => Some(format!("{cell}: new, {}", status.as_str())),
    });
    let gone = old.keys().filter(|cell| !new.contains_key(*cell));
    changed
        .chain(gone.map(|cell| format!("{cell}: removed")))
        .collect()
}

fn counts(snapshot: &Snapshot) -> String {
    let mut counts = indexmap::IndexMap::<&str, usize>::new();
    for status in snapshot.cells.values().flat_map(|row| row.values()) {
        *counts.entry(status.as_str()).or_default() += 1;
    }
    let counts: Vec<String> = counts
        .iter()
        .map(|(status, count)| format!("{count} {status}"))
        .collect();
    counts.join(", ")
}
