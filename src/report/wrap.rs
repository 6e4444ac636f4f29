//! Wraps the lines of a report at the width of a terminal.

use unicode_width::UnicodeWidthStr as _;

/// `text` with each longer line broken at spaces, and indented below the line's label. A name in backticks stays whole, so that
/// a reader can copy a command; so does a word that is wider than a line.
pub fn wrapped(text: &str, width: usize) -> String {
    text.split_inclusive('\n')
        .map(|line| wrapped_line(line, width))
        .collect()
}

fn wrapped_line(line: &str, width: usize) -> String {
    if visible_width(line.trim_end()) <= width {
        return line.to_owned();
    }
    let indent = indent(line, width / 2);
    let mut wrapped = String::new();
    let mut used = 0;
    for word in words(line) {
        let needed = visible_width(word.trim_end_matches([' ', '\n']));
        let is_first = used <= visible_width(&indent) || wrapped.trim().is_empty();
        if !is_first && used + needed > width {
            wrapped.truncate(wrapped.trim_end_matches(' ').len());
            wrapped.push('\n');
            wrapped.push_str(&indent);
            used = visible_width(&indent);
        }
        wrapped.push_str(word);
        used += visible_width(word.trim_end_matches('\n'));
    }
    wrapped
}

/// The columns of `text` on a terminal, without its escape sequences.
fn visible_width(text: &str) -> usize {
    anstream::adapter::strip_str(text).to_string().width()
}

/// The words of `line`, each with the spaces after it.
fn words(line: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let (mut start, mut is_quoted, mut is_space) = (0, false, false);
    for (index, character) in line.char_indices() {
        if is_space && character != ' ' {
            words.push(&line[start..index]);
            start = index;
        }
        if character == '`' {
            // A lone backtick begins no name.
            is_quoted = !is_quoted && line[index + 1..].contains('`');
        }
        is_space = character == ' ' && !is_quoted;
    }
    words.push(&line[start..]);
    words
}

/// What stands before the further lines of `line`: its own indentation, its bar, and the width of its label (`   | expected: `,
/// `   = cause: `, `hint: `); at most `most` columns.
fn indent(line: &str, most: usize) -> String {
    const WIDEST_LABEL: usize = 20;
    let plain = anstream::adapter::strip_str(line).to_string();
    let rest = plain.trim_start_matches(' ');
    let own = plain.len() - rest.len();
    let label = match rest.split_once(": ") {
        Some((label, text)) if label.len() <= WIDEST_LABEL && !label.contains('`') => {
            rest.len() - text.trim_start_matches(' ').len()
        }
        _ => 0,
    };
    match rest.strip_prefix("| ") {
        _ if own + label > most => " ".repeat(most),
        Some(_) => format!("{:own$}| {}", "", " ".repeat(label.saturating_sub(2))),
        None => " ".repeat(own + label),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_continue_below_their_label() {
        let text = "error: the provider did not receive the image\n   | expected: one two three four five\n   = cause: gateway (lost on the way)\n";
        assert_eq!(
            wrapped(text, 30),
            "error: the provider did not\n       receive the image\n   | expected: one two three\n   |           four five\n   = cause: gateway (lost on\n            the way)\n"
        );
    }

    #[test]
    fn commands_stay_whole_and_colours_have_no_width() {
        let line = "hint: run `cargo test --test compat -- --exact a::b::c` again\n";
        assert_eq!(
            wrapped(line, 30),
            "hint: run\n      `cargo test --test compat -- --exact a::b::c`\n      again\n"
        );
        let lone = "hint: run one ` two three four five six\n";
        assert_eq!(
            wrapped(lone, 20),
            "hint: run one ` two\n      three four\n      five six\n"
        );
        let deep = "          one two three\n";
        assert_eq!(wrapped(deep, 10), "          one\n     two\n     three\n");
        let painted = "\u{1b}[1m\u{1b}[31merror:\u{1b}[0m 1234567890 1234567890\n";
        assert_eq!(wrapped(painted, 28), painted);
        assert_eq!(wrapped(painted, 27).lines().count(), 2);
    }
}
