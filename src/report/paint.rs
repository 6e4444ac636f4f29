//! Whether a text is coloured, as a value.

use anstyle::{AnsiColor, Style};

/// Whether reports hold ANSI escape sequences.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paint {
    Plain,
    Ansi,
}

impl Paint {
    pub fn apply(self, style: Style, text: &str) -> String {
        match self {
            Self::Plain => text.to_owned(),
            Self::Ansi if text.is_empty() => String::new(),
            Self::Ansi => format!("{style}{text}{style:#}"),
        }
    }
}

/// `text` without what would move a terminal's cursor or change its colours, line breaks apart: what `claude`, a
/// gateway or another's file says is shown, never obeyed.
pub fn printable(text: &str) -> String {
    let text = anstream::adapter::strip_str(text).to_string();
    let shown = |character: char| {
        if character.is_control() && character != '\n' {
            ' '
        } else {
            character
        }
    };
    text.chars().map(shown).collect()
}

pub const GOOD: Style = AnsiColor::Green.on_default().bold();
pub const BAD: Style = AnsiColor::Red.on_default().bold();
pub const UNKNOWN: Style = AnsiColor::Yellow.on_default().bold();
pub const DIM: Style = Style::new().dimmed();
pub const LEAD: Style = AnsiColor::Cyan.on_default();
pub const HEADING: Style = Style::new().bold();

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_of_others_are_not_obeyed() {
        assert_eq!(printable("a\u{1b}[31mb\tc\r\nd\u{7}"), "ab c \nd");
    }
}
