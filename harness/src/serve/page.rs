//! What every page has: its frame, its policy, and texts that are made harmless.

use std::fmt::Write;

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use maud::{DOCTYPE, Markup, PreEscaped, Render, html};

/// The pages' looks.
const STYLE: &str = include_str!("page.css");

/// A text of somebody else's: escaped, and with the characters that are not to be seen shown as what they are, e.g. `\u{1b}`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shown<'a>(pub &'a str);

/// Controls, and what turns the direction of writing or has no width: none of it can be seen, and all of it misleads.
fn is_unseen(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{61c}' | '\u{feff}')
}

impl Render for Shown<'_> {
    fn render_to(&self, buffer: &mut String) {
        let mut seen = String::with_capacity(self.0.len());
        for letter in self.0.chars() {
            if is_unseen(letter) {
                // Writing to a String cannot fail.
                let _ = write!(seen, "{}", letter.escape_unicode());
            } else {
                seen.push(letter);
            }
        }
        seen.render_to(buffer);
    }
}

/// A page that answers with a status.
pub(super) struct Page {
    pub title: String,
    pub status: StatusCode,
    pub content: Markup,
}

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        // Whoever could put a style into the page would have to guess it.
        let nonce = format!("{:032x}", rand::random::<u128>());
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { (Shown(&self.title)) " · Trueline" }
                    style nonce=(nonce) { (PreEscaped(STYLE)) }
                }
                body {
                    header {
                        nav {
                            a.home href="/" { "Trueline" }
                            a href="/" { "runs" }
                            a href="/collections" { "hunts, gates, benches" }
                            a href="/trends" { "trends" }
                        }
                    }
                    main { (self.content) }
                }
            }
        };
        let policy = format!(
            "default-src 'none'; style-src 'nonce-{nonce}'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
        );
        let headers = [
            (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
            (header::CONTENT_SECURITY_POLICY, HeaderValue::from_str(&policy).expect("made of plain letters")),
        ];
        (self.status, headers, page.into_string()).into_response()
    }
}

/// A page that says what is wrong.
pub(super) fn problem(status: StatusCode, why: &str) -> Response {
    let content = html! {
        h1 { (status.canonical_reason().unwrap_or("Something is wrong")) }
        p { (Shown(why)) }
        p { a href="/" { "All runs" } }
    };
    let title = status.canonical_reason().unwrap_or("Problem").to_owned();
    Page { title, status, content }.into_response()
}

/// What came out, as a badge.
pub(super) fn badge(outcome: &str) -> Markup {
    let class = match outcome {
        "valid" => "good",
        "invalid" => "bad",
        "running" => "going",
        _ => "doubt",
    };
    html! { span.badge.(class) { (Shown(outcome)) } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_seen_is_shown_and_nothing_is_script() {
        let text = html! { (Shown("a\u{1b}[2J\u{202e}<script>\"&\n\u{200b}é")) }.into_string();
        assert_eq!(text, "a\\u{1b}[2J\\u{202e}&lt;script&gt;&quot;&amp;\\u{a}\\u{200b}é");
    }
}
