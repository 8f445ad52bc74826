//! The manual pages, as a reader's `man` shows them.

use std::fs;
use std::path::Path;

use crate::support::tool::{bulk_rerun, shell, text};

/// What somebody reads on a terminal of 80 columns.
fn shown(command: &str) -> String {
    let output = shell(&format!("set -o pipefail; bulk-rerun man {command} | MANWIDTH=80 man -l -")).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
}

#[test]
fn a_page_says_what_the_help_says() {
    let page = shown("rerun");
    for words in ["bulk-rerun-rerun - Re-run the unique tasks", "--skip-superseded", "SELECTOR", "Possible values"] {
        assert!(page.contains(words), "{words:?} is not in\n{page}");
    }
    // Examples keep their lines, so that they can be copied, and exit statuses theirs.
    let help = text(&bulk_rerun(&["rerun", "--help"]).stdout);
    let notes = help.split_once("Examples:\n").unwrap().1;
    for line in notes.lines().filter(|line| !line.is_empty()) {
        assert!(page.lines().any(|shown| shown.trim() == line.trim()), "{line:?} is not in\n{page}");
    }
    assert!(shown("").contains("bulk-rerun-ledger(1)") && shown("ledger create").contains("Make the ledger"));
    assert!(!shown("").contains("__complete"));
}

#[test]
fn packagers_write_all_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("man/man1");
    let output = bulk_rerun(&["man", "--dir", dir.to_str().unwrap()]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    let mut pages: Vec<String> = fs::read_dir(&dir).unwrap().map(|page| name(&page.unwrap().path())).collect();
    pages.sort();
    assert!(pages.iter().all(|page| page.starts_with("bulk-rerun") && page.ends_with(".1")), "{pages:?}");
    let help = text(&bulk_rerun(&["--help"]).stdout);
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    // What is said of one may go on in the next line, further in.
    let commands = commands.filter(|line| !line.starts_with("   "));
    for command in commands.map(|line| line.split_whitespace().next().unwrap()).filter(|command| *command != "help") {
        assert!(pages.contains(&format!("bulk-rerun-{command}.1")), "{command}: {pages:?}");
    }
    assert!(pages.contains(&"bulk-rerun-ledger-prune.1".to_owned()), "{pages:?}");
    assert_eq!(fs::read(dir.join("bulk-rerun-rerun.1")).unwrap(), bulk_rerun(&["man", "rerun"]).stdout);
}

#[test]
fn a_command_that_there_is_not_is_named() {
    let output = bulk_rerun(&["man", "rerum"]);
    assert_eq!(output.status.code(), Some(2));
    let said = text(&output.stderr);
    assert_eq!(said, "error: `bulk-rerun` has no command `rerum`; did you mean `rerun`?\n");
    let nowhere = bulk_rerun(&["man", "--dir", "/dev/null/man1"]);
    assert_eq!(nowhere.status.code(), Some(1));
    assert!(text(&nowhere.stderr).contains("the pages can't be written into /dev/null/man1"));
}
