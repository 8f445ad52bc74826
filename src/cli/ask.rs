//! Asks before something is done.

use std::io::{self, BufRead, IsTerminal, Write};

use super::Failure;
use super::output::{BOLD, People};
use crate::contract::ErrorModel;

/// Without a terminal there is nobody to ask: whoever can't say `--yes` is told to look first.
pub(super) fn needs_a_terminal(look: &str) -> Result<(), Failure> {
    if io::stdin().is_terminal() && io::stderr().is_terminal() {
        return Ok(());
    }
    let detail = format!("there is no terminal to ask on: add --yes to go ahead, or {look} to look first");
    Err(Failure::Usage(ErrorModel::new(400, detail)))
}

/// Where to show what is asked about: it must be seen, wherever standard output goes to.
pub(super) fn shown_on(json: bool, wide: bool) -> People {
    let on_stderr = json || !io::stdout().is_terminal();
    if on_stderr { People::on_stderr(wide) } else { People::on_stdout(wide) }
}

/// Asks, and takes only a yes for one.
pub(super) fn is_wanted(question: &str) -> Result<bool, Failure> {
    let mut terminal = anstream::stderr();
    write!(terminal, "\n{BOLD}{question}{BOLD:#} [y/N] ")?;
    terminal.flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    if matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes") {
        return Ok(true);
    }
    writeln!(terminal, "Nothing was changed.")?;
    Ok(false)
}
