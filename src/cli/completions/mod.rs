//! `bulk-rerun completions`: what a shell is told, so that it can complete a command. Its script is a few lines, which ask the
//! tool itself (the hidden `__complete`) for what may stand at the cursor: tasks and words of a status are the store's own, and
//! no script that is made beforehand can know those.

mod candidates;

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Args, ValueEnum};

use super::Failure;
use super::output::printable;

#[derive(Debug, Args)]
#[command(after_long_help = "\
Commands, flags and their values are completed; tasks, words of a status and
operations are those of the store that the command line or BULK_RERUN_STORE
names.

Examples:
  # bash: once in this shell, or for good
  source <(bulk-rerun completions bash)
  bulk-rerun completions bash \\
    > ~/.local/share/bash-completion/completions/bulk-rerun

  # zsh: into a folder of its $fpath
  bulk-rerun completions zsh > ~/.zfunc/_bulk-rerun

  # fish
  bulk-rerun completions fish > ~/.config/fish/completions/bulk-rerun.fish")]
pub(super) struct Arguments {
    /// The shell that is to read it
    shell: Shell,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let script = match arguments.shell {
        Shell::Bash => include_str!("bulk-rerun.bash"),
        Shell::Zsh => include_str!("bulk-rerun.zsh"),
        Shell::Fish => include_str!("bulk-rerun.fish"),
    };
    io::stdout().write_all(script.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

/// What a shell's script asks.
#[derive(Debug, Args)]
pub(super) struct Question {
    /// The words before the cursor; the last one is being typed
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<OsString>,
}

/// One candidate a line, and behind a tab a few words about it.
pub(super) fn answer(question: &Question) -> Result<ExitCode, Failure> {
    let words: Vec<String> = question.words.iter().map(|word| unquoted(&word.to_string_lossy())).collect();
    let mut out = io::stdout().lock();
    for (value, about) in candidates::of(&words) {
        // What can't be typed as it is shown is no help.
        if printable(&value) == value {
            writeln!(out, "{value}\t{}", printable(&about))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A word as the shell will read it. The one at the cursor may be without its end.
fn unquoted(word: &str) -> String {
    let mut text = String::new();
    let mut quote = None;
    let mut signs = word.chars();
    while let Some(sign) = signs.next() {
        match (quote, sign) {
            (None, '\'' | '"') => quote = Some(sign),
            (Some(open), _) if open == sign => quote = None,
            (None | Some('"'), '\\') => text.extend(signs.next()),
            _ => text.push(sign),
        }
    }
    match text.strip_prefix("~/") {
        Some(rest) if !word.starts_with(['\'', '"']) => {
            format!("{}/{rest}", std::env::var("HOME").unwrap_or_else(|_| "~".to_owned()))
        }
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_as_a_shell_reads_them() {
        for (word, read) in [
            ("plain", "plain"),
            (r"my\ task", "my task"),
            (r#""my task"#, "my task"),
            (r"'it'\''s'", "it's"),
            (r#""a \" b""#, r#"a " b"#),
            (r"'a \ b'", r"a \ b"),
        ] {
            assert_eq!(unquoted(word), read);
        }
        assert!(!unquoted("~/jobs.db").starts_with('~') && unquoted("'~/jobs.db'").starts_with('~'));
    }
}
