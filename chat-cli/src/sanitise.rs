//! Makes text of others safe to print: nothing in it moves the cursor, colours, retitles, rings,
//! reorders what stands beside it, or begins a line of its own.

/// What stands for a character that is not printed.
const REPLACEMENT: char = '\u{fffd}';

/// How the line breaks of a text are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Breaks {
    /// As a sign within the line: for output that is read line by line.
    Marked,
    /// As a new line, indented so that it cannot pass for one of ours.
    Indented,
}

/// `text` for a terminal.
pub(crate) fn text(text: &str, breaks: Breaks) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\r' if characters.peek() == Some(&'\n') => {}
            '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}' => match breaks {
                Breaks::Marked => shown.push_str(" ⏎ "),
                Breaks::Indented => shown.push_str("\n    │ "),
            },
            '\t' => shown.push(' '),
            unsafe_one if is_unsafe(unsafe_one) => shown.push(REPLACEMENT),
            plain => shown.push(plain),
        }
    }
    shown
}

/// A name or label for a terminal: one line, whatever it holds.
pub(crate) fn name(name: &str) -> String {
    text(name, Breaks::Marked)
}

/// Controls (C0, DEL, C1, so that no escape sequence begins), the controls of bidirectional text,
/// and characters that hide text: zero widths, annotations and tags. Joiners stay, since emoji and
/// some scripts need them.
fn is_unsafe(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_never_reach_the_terminal() {
        for evil in ["\u{1b}[2J", "\u{1b}]0;title\u{7}", "\u{9b}31m", "\u{8}\u{8}\u{8}", "a\u{0}b", "\u{7f}"]
        {
            let shown = text(evil, Breaks::Indented);
            assert!(!shown.chars().any(char::is_control), "{shown:?}");
        }
    }

    #[test]
    fn bidi_overrides_and_hidden_characters_are_made_visible() {
        assert_eq!(text("\u{202e}evil\u{2066}", Breaks::Marked), "\u{fffd}evil\u{fffd}");
        assert_eq!(text("a\u{200b}b\u{feff}", Breaks::Marked), "a\u{fffd}b\u{fffd}");
    }

    #[test]
    fn a_text_of_several_lines_cannot_pass_for_several_entries() {
        assert_eq!(text("hi\n05:47 @eve: forged", Breaks::Marked), "hi ⏎ 05:47 @eve: forged");
        assert_eq!(text("hi\r\nthere", Breaks::Indented), "hi\n    │ there");
        for line_break in ["\r", "\u{85}", "\u{2028}", "\u{2029}"] {
            assert_eq!(text(line_break, Breaks::Marked), " ⏎ ");
        }
    }

    #[test]
    fn ordinary_text_of_any_script_stays_as_it_is() {
        for plain in ["grüße", "здравствуй", "مرحبا", "👩\u{200d}💻", "e\u{301}"] {
            assert_eq!(text(plain, Breaks::Marked), plain);
        }
    }
}
