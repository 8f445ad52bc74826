//! What people see: headings, errors, a store's texts. Colour only on a terminal, and not under `NO_COLOR`.

use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;

use anstyle::{AnsiColor, Style};
use terminal_size::{Width, terminal_size_of};

use crate::contract::{ErrorModel, Triggered};

pub(super) const BOLD: Style = Style::new().bold();
pub(super) const DIM: Style = Style::new().dimmed();
pub(super) const GOOD: Style = AnsiColor::Green.on_default().bold();
pub(super) const BAD: Style = AnsiColor::Red.on_default().bold();

pub(super) const WARNING: Style = AnsiColor::Yellow.on_default().bold();

/// Where a command's text for people goes.
pub(super) struct People {
    out: Box<dyn Write>,
    terminal: Option<Terminal>,
    /// Tables may be wider than the terminal.
    wide: bool,
}

/// A terminal, and how many signs go into a line of it, where it says so.
struct Terminal {
    width: Option<usize>,
}

impl People {
    pub(super) fn on_stdout(wide: bool) -> People {
        People { out: Box::new(anstream::stdout()), terminal: terminal(io::stdout()), wide }
    }

    pub(super) fn on_stderr(wide: bool) -> People {
        People { out: Box::new(anstream::stderr()), terminal: terminal(io::stderr()), wide }
    }

    pub(super) fn is_terminal(&self) -> bool {
        self.terminal.is_some()
    }

    /// How wide a table may be.
    pub(super) fn width(&self) -> Option<usize> {
        self.terminal.as_ref().and_then(|terminal| terminal.width).filter(|_| !self.wide)
    }
}

impl Write for People {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

fn terminal(stream: impl IsTerminal + AsFd) -> Option<Terminal> {
    let width = |stream| terminal_size_of(stream).map(|(Width(width), _)| width.into());
    stream.is_terminal().then(|| Terminal { width: width(&stream) })
}

/// A text from a store, made safe for a terminal: what would act on it, or could not be seen, is spelled.
pub(super) fn printable(text: &str) -> String {
    text.chars()
        .flat_map(|sign| {
            let spelled = (sign.is_control() || is_invisible(sign)).then(|| sign.escape_default());
            let plain = spelled.is_none().then_some(sign);
            spelled.into_iter().flatten().chain(plain)
        })
        .collect()
}

/// Signs that change how others are shown (the direction of writing, for one), or that take no room. Two names that differ by
/// them alone look the same. (Those that choose between two shapes of an emoji are left.)
fn is_invisible(sign: char) -> bool {
    matches!(sign,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}'
        | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// `1 run`, `2 runs`.
pub(super) fn count(number: u64, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// Prints an error: as JSON on standard output, or for people on standard error.
pub(super) fn print_error(error: &ErrorModel, json: bool) {
    if json {
        // Nothing is left to be done if even this can't be written.
        let _ = writeln!(io::stdout(), "{}", error.to_json());
        return;
    }
    let mut out = anstream::stderr();
    let _ = writeln!(out, "{BAD}error:{BAD:#} {}", printable(&error.detail));
    if error.errors.len() > 1 {
        for violation in &error.errors {
            let _ = writeln!(out, "  {}: {}", printable(&violation.location), printable(&violation.message));
        }
    }
    for Triggered { task_name, run_id, rerun_of } in &error.triggered {
        let line = format!("{task_name}: {run_id} is a re-run of {rerun_of}");
        let _ = writeln!(out, "  {}", printable(&line));
    }
}
