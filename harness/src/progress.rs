//! The progress line: what is going on, for a person at a terminal. Quiet elsewhere.

use std::{io::IsTerminal, time::Duration};

use indicatif::{ProgressBar, ProgressStyle};

/// A line that is rewritten while a run goes on. On anything but a terminal it shows nothing.
#[derive(Clone, Debug)]
pub struct Progress {
    bar: ProgressBar,
    quiet: bool,
}

impl Progress {
    /// For a run; `quiet` shows nothing even on a terminal.
    #[must_use]
    pub fn new(quiet: bool) -> Self {
        let bar = if quiet || !std::io::stderr().is_terminal() {
            ProgressBar::hidden()
        } else {
            let bar = ProgressBar::new_spinner();
            bar.set_style(
                ProgressStyle::with_template("{spinner} {elapsed:>4} {prefix:<12} {msg}").expect("a constant template"),
            );
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        };
        Self { bar, quiet }
    }

    /// Begins a phase.
    pub fn phase(&self, name: &'static str) {
        self.bar.set_prefix(name);
        self.bar.set_message("");
    }

    /// Says what is going on in it.
    pub fn say(&self, message: String) {
        self.bar.set_message(message);
    }

    /// Says something that stays, above the line; nothing where the progress is quiet.
    pub fn note(&self, line: &str) {
        if !self.quiet {
            self.bar.suspend(|| eprintln!("{line}"));
        }
    }

    /// Takes the line away.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
