//! Text from outside, made safe to show on a terminal.

/// Longer texts are cut to this many characters.
const SHOWN_CHARS: usize = 200;

/// `text` with its control and direction-changing characters escaped, cut to 200 characters.
pub fn sanitize(text: &str) -> String {
    let mut shown = String::new();
    for char in text.chars().take(SHOWN_CHARS) {
        match char {
            '\'' | '"' | '\\' => shown.push(char), // special to Rust's eyes alone
            _ => shown.extend(char.escape_debug()),
        }
    }
    if text.chars().nth(SHOWN_CHARS).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_from_outside_can_do_nothing_to_a_terminal() {
        for (text, want) in [
            ("https://a.example", "https://a.example"),
            ("a\x1b[2J\r\nsse-pipe: forged", r"a\u{1b}[2J\r\nsse-pipe: forged"),
            ("\u{202e}gpj", r"\u{202e}gpj"),
            ("é 'quoted' \"\\", "é 'quoted' \"\\"),
        ] {
            assert_eq!(sanitize(text), want);
        }
        assert_eq!(sanitize(&"x".repeat(1000)).chars().count(), SHOWN_CHARS + 1);
    }
}
