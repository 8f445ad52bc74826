//! The walk of `src/profiles/README.md`: its files are made, its commands are run, and they print what it says.

use std::fs;
use std::path::Path;
use std::process::Command;

#[path = "support/postgres.rs"]
mod postgres;

const PAGE: &str = include_str!("../src/profiles/README.md");

/// A fenced block: the words behind the fence, and the lines.
struct Block<'a> {
    info: Vec<&'a str>,
    lines: Vec<&'a str>,
}

/// The blocks of a section, in order.
fn blocks<'a>(page: &'a str, heading: &str) -> Vec<Block<'a>> {
    let (_, section) = page.split_once(&format!("\n## {heading}\n")).expect("the page has the section");
    let section = section.split("\n## ").next().unwrap();
    let mut blocks = Vec::new();
    let mut lines = section.lines();
    while let Some(line) = lines.next() {
        if let Some(info) = line.strip_prefix("```") {
            let lines = lines.by_ref().take_while(|line| *line != "```").collect();
            blocks.push(Block { info: info.split(' ').collect(), lines });
        }
    }
    blocks
}

/// Puts the lines with a plus in the place of those with a minus, which must be there once.
fn patch(file: &Path, lines: &[&str]) {
    let signed = |sign: char| {
        lines.iter().filter_map(|line| line.strip_prefix(sign)).map(|line| format!("{line}\n")).collect::<String>()
    };
    let text = fs::read_to_string(file).unwrap();
    let (old, new) = (signed('-'), signed('+'));
    assert_eq!(text.matches(&old).count(), 1, "not once in {}:\n{old}", file.display());
    fs::write(file, text.replace(&old, &new)).unwrap();
}

/// What a command prints, as a terminal would show it.
fn printed(folder: &Path, variables: &[(&str, &str)], command: &str) -> String {
    let tool = Path::new(env!("CARGO_BIN_EXE_bulk-rerun")).parent().unwrap();
    let path = format!("{}:{}", tool.display(), std::env::var("PATH").unwrap());
    let script = format!("exec 2>&1\n{command}");
    let mut bash = Command::new("bash");
    bash.args(["-c", &script]).current_dir(folder).env("PATH", path).envs(variables.iter().copied());
    let output = bash.output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

/// Whether a text is as the page says; `…` stands for anything within a line.
fn is_like(text: &str, page: &str) -> bool {
    let like = |line: &str, page: &str| {
        let Some((start, page)) = page.split_once('…') else { return line == page };
        let (middle, end) = page.rsplit_once('…').unwrap_or(("", page));
        let Some(mut rest) = line.strip_prefix(start).and_then(|rest| rest.strip_suffix(end)) else { return false };
        middle.split('…').all(|part| match rest.split_once(part) {
            Some((_, after)) => {
                rest = after;
                true
            }
            None => false,
        })
    };
    text.lines().count() == page.lines().count() && text.lines().zip(page.lines()).all(|(line, page)| like(line, page))
}

/// Makes a section's files, applies its changes to them, and runs its commands.
fn walk(heading: &str, variables: &[(&str, &str)]) {
    let folder = tempfile::tempdir().unwrap();
    let mut commands = 0;
    for Block { info, lines } in blocks(PAGE, heading) {
        match info[..] {
            ["console"] => {
                for session in format!("\n{}", lines.join("\n")).split("\n$ ").skip(1) {
                    let (command, expected) = session.split_once('\n').unwrap_or((session, ""));
                    let printed = printed(folder.path(), variables, command);
                    assert!(
                        is_like(&printed, expected.trim_end()),
                        "$ {command}\n{printed}\n\nthe page has:\n{expected}"
                    );
                    commands += 1;
                }
            }
            ["diff", file] => patch(&folder.path().join(file), &lines),
            ["sql" | "toml", file] => fs::write(folder.path().join(file), lines.join("\n") + "\n").unwrap(),
            _ => panic!("a block that nobody follows: {info:?}"),
        }
    }
    assert!(commands > 5, "the page has lost its walk");
}

#[test]
fn the_walk_on_sqlite_prints_what_the_page_says() {
    walk("On SQLite", &[]);
}

#[test]
fn the_walk_on_postgresql_prints_what_the_page_says() {
    let server = postgres::server();
    postgres::Client::connect(&server.url("postgres", "postgres")).execute("CREATE DATABASE night");
    let port = server.port.to_string();
    walk("The same on PostgreSQL", &[("PGHOST", "127.0.0.1"), ("PGPORT", &port), ("PGUSER", "postgres")]);
}
