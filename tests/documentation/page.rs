//! A page of the documentation: its blocks, its links and its headings.

use std::fs;
use std::path::{Path, PathBuf};

/// The project's folder.
pub fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The README and every page of `docs/`.
pub fn all() -> Vec<Page> {
    let docs = fs::read_dir(project().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<_> = docs.filter(|path| path.extension().is_some_and(|end| end == "md")).collect();
    paths.push(project().join("README.md"));
    paths.sort();
    paths.into_iter().map(Page::read).collect()
}

pub struct Page {
    pub path: PathBuf,
    pub text: String,
}

/// A fenced block, or a comment that begins with `sh`: what is run, and not shown.
pub struct Block<'a> {
    /// The words behind the fence.
    pub info: Vec<&'a str>,
    pub lines: Vec<&'a str>,
}

impl Block<'_> {
    pub fn text(&self) -> String {
        self.lines.iter().map(|line| format!("{line}\n")).collect()
    }
}

impl Page {
    pub fn read(path: impl Into<PathBuf>) -> Page {
        let path = path.into();
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Page { path, text }
    }

    pub fn name(&self) -> String {
        self.path.strip_prefix(project()).unwrap().display().to_string()
    }

    pub fn blocks(&self) -> Vec<Block<'_>> {
        let mut blocks = Vec::new();
        let mut lines = self.text.lines();
        while let Some(line) = lines.next() {
            let Some((info, end)) = begun(line) else { continue };
            blocks.push(Block {
                info: info.split(' ').collect(),
                lines: lines.by_ref().take_while(|line| *line != end).collect(),
            });
        }
        blocks
    }

    /// What is no block.
    pub fn prose(&self) -> impl Iterator<Item = &str> {
        let mut end = None;
        self.text.lines().filter(move |line| match end {
            Some(closing) => {
                end = (*line != closing).then_some(closing);
                false
            }
            None => {
                end = begun(line).map(|(_, closing)| closing);
                end.is_none()
            }
        })
    }

    /// What its links lead to.
    pub fn links(&self) -> Vec<String> {
        let text = self.prose().map(|line| format!("{line}\n")).collect::<String>();
        let ends = text.split("](").skip(1);
        ends.filter_map(|rest| rest.split_once(')').map(|(target, _)| target.to_owned())).collect()
    }

    /// Its headings, as a link says them.
    pub fn anchors(&self) -> Vec<String> {
        let headings =
            self.prose().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches(['#', ' ']));
        headings.map(anchor).collect()
    }

    /// What stands in backquotes in its prose.
    pub fn code(&self) -> Vec<&str> {
        self.prose().flat_map(code_of).collect()
    }

    /// The first cells of the tables that have this in the first cell of their head.
    pub fn first_cells(&self, head: &str) -> Vec<&str> {
        let mut is_in = false;
        self.prose()
            .filter_map(move |line| {
                let first = line.strip_prefix("| ").and_then(|row| row.split(" |").next());
                match first {
                    None => is_in = false,
                    Some(first) if first == head => {
                        is_in = true;
                        return None;
                    }
                    Some(_) => {}
                }
                first.filter(|first| is_in && !first.starts_with("---"))
            })
            .collect()
    }
}

/// The words of the block that a line begins, and the line that ends it.
fn begun(line: &str) -> Option<(&str, &'static str)> {
    let shown = line.strip_prefix("```").map(|info| (info, "```"));
    shown.or_else(|| (line == "<!-- sh").then_some(("sh", "-->")))
}

/// What stands in backquotes.
pub fn code_of(line: &str) -> Vec<&str> {
    line.split('`').skip(1).step_by(2).collect()
}

fn anchor(heading: &str) -> String {
    let signs = heading.to_lowercase();
    signs.chars().filter(|sign| sign.is_alphanumeric() || " -_".contains(*sign)).collect::<String>().replace(' ', "-")
}
