//! What people see: tables, headings, errors. Colour only on a terminal, and not under `NO_COLOR`.

use std::io::{self, IsTerminal, Write};

use anstyle::{AnsiColor, Style};
use comfy_table::{CellAlignment, Table, presets};

use crate::contract::ErrorModel;

pub(super) const BOLD: Style = Style::new().bold();
pub(super) const DIM: Style = Style::new().dimmed();
pub(super) const GOOD: Style = AnsiColor::Green.on_default().bold();
pub(super) const BAD: Style = AnsiColor::Red.on_default().bold();

/// On a terminal, so many rows of a table are shown; elsewhere all.
const ROWS_ON_A_TERMINAL: usize = 40;

/// Where a command's text for people goes. With `--json` standard output is for JSON alone.
pub(super) fn for_people(json: bool) -> Box<dyn Write> {
    if json { Box::new(anstream::stderr()) } else { Box::new(anstream::stdout()) }
}

/// Prints a table without lines, indented; on a terminal a long one is cut, and says so.
pub(super) fn print_table(
    out: &mut dyn Write,
    header: &[&str],
    rows: Vec<Vec<String>>,
    right: Option<usize>,
) -> io::Result<()> {
    let all = rows.len();
    let shown = if io::stdout().is_terminal() { all.min(ROWS_ON_A_TERMINAL) } else { all };
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header.iter().copied());
    for row in rows.into_iter().take(shown) {
        table.add_row(row.iter().map(|text| printable(text)));
    }
    if let Some(column) = right.and_then(|index| table.column_mut(index)) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    for line in table.lines() {
        writeln!(out, " {}", line.trim_end())?;
    }
    if shown < all {
        writeln!(out, "  {DIM}… and {} more; --json lists all{DIM:#}", all - shown)?;
    }
    Ok(())
}

/// A text from a store, made safe for a terminal: control characters are shown, not obeyed.
pub(super) fn printable(text: &str) -> String {
    text.chars()
        .flat_map(|character| {
            let escaped = character.is_control().then(|| character.escape_default());
            let plain = escaped.is_none().then_some(character);
            escaped.into_iter().flatten().chain(plain)
        })
        .collect()
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
}
