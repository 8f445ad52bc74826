//! The walk through a page: its files are made, its programs and commands are run in their order, in an empty folder of its own, and
//! print what it says.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use bulk_rerun::Request;
use tempfile::TempDir;

use crate::compare::Values;
use crate::library::Installed;
use crate::page::{Block, Page, project};

/// Ports that the pages name; each walk has others in their place.
const PORTS: [&str; 3] = ["9477", "9478", "9479"];

/// What ends a command's output: a sign that nobody prints, and the status.
const MARK: char = '\u{1e}';

/// Longer than any command takes.
const PATIENCE: Duration = Duration::from_secs(300);

/// A shell in an empty folder, in which `bulk-rerun` is the tool.
pub struct Walk {
    pub folder: TempDir,
    shell: Child,
    keyboard: Option<ChildStdin>,
    screen: Receiver<String>,
    ports: Vec<String>,
    values: Values,
}

impl Walk {
    pub fn begin(variables: &[(&str, &str)], values: Values) -> Walk {
        let folder = tempfile::tempdir().unwrap();
        let tool = Path::new(env!("CARGO_BIN_EXE_bulk-rerun")).parent().unwrap().display();
        // All at once, so that they are different ones.
        let free = PORTS.map(|_| TcpListener::bind("127.0.0.1:0").unwrap());
        let ports: Vec<_> = free.iter().map(|one| one.local_addr().unwrap().port().to_string()).collect();
        let mut bash = Command::new("bash");
        for name in ["STORE", "TASKS", "PROFILE", "LEDGER", "PAGE", "TOKEN"] {
            bash.env_remove(format!("BULK_RERUN_{name}"));
        }
        let library = Installed::get();
        let mut shell = library
            .for_go(&mut bash)
            .current_dir(folder.path())
            .env("PATH", format!("{tool}:{}", std::env::var("PATH").unwrap()))
            .env("USER", "ada")
            .env("BULK_RERUN_LISTEN", format!("127.0.0.1:{}", ports[0]))
            .env("BULK_RERUN_SOURCE", project())
            .env("LD_LIBRARY_PATH", library.lib())
            .envs(variables.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut keyboard = shell.stdin.take().unwrap();
        keyboard.write_all(b"exec 2>&1\ntrap 'kill $(jobs -p) 2>/dev/null' EXIT\n").unwrap();
        let output = BufReader::new(shell.stdout.take().unwrap());
        let (lines, screen) = channel();
        thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| lines.send(line)));
        Walk { folder, shell, keyboard: Some(keyboard), screen, ports, values }
    }

    /// Walks through a whole page.
    pub fn through(page: &Page, variables: &[(&str, &str)]) {
        let is_the_walk_of_profiles = page.name().starts_with("docs/profiles");
        let mut walk = Walk::begin(variables, Values::of(is_the_walk_of_profiles));
        let blocks = page.blocks();
        let typed: String =
            blocks.iter().filter(|block| ["console", "sh"].contains(&block.info[0])).map(Block::text).collect();
        for block in &blocks {
            match block.info[..] {
                ["console"] => walk.session(&block.lines),
                ["sh"] => walk.script(&block.text()),
                ["diff", file] => walk.patch(file, &block.lines),
                ["json"] => _ = serde_json::from_str::<serde_json::Value>(&block.text()).expect("JSON"),
                ["json", "request"] => _ = Request::from_json(block.text().as_bytes()).expect("a request"),
                [kind, file] => {
                    let is_program = ["c", "go", "js", "lua", "python"].contains(&kind);
                    assert!(
                        is_program || ["nginx", "sql", "toml", "yaml"].contains(&kind),
                        "nobody knows {kind} {file}"
                    );
                    assert!(!is_program || typed.contains(file), "{file} is never run");
                    fs::write(walk.folder.path().join(file), walk.with_our_ports(&block.text())).unwrap();
                }
                // What is only shown. (The programs in Rust have a test of their own.)
                ["text" | "toml" | "rust"] => {}
                _ => panic!("a block that nobody follows: {:?}", block.info),
            }
        }
    }

    /// What a command prints, and its status.
    pub fn run(&mut self, command: &str) -> (String, String) {
        let command = self.with_our_ports(&self.values.fill(command));
        let line = format!(
            "{{ {command}\n}} </dev/null\n__status=$?; printf '\\n\\036%s\\n' \"$__status\"; (exit \"$__status\")\n"
        );
        self.keyboard.as_mut().unwrap().write_all(line.as_bytes()).unwrap();
        let mut printed = String::new();
        loop {
            let line = self.screen.recv_timeout(PATIENCE);
            let line = line.unwrap_or_else(|_| panic!("it ended the shell, or never ends:\n$ {command}\n{printed}"));
            if let Some(status) = line.strip_prefix(MARK) {
                let printed = self.with_the_pages_ports(printed.trim_end());
                return (printed, status.to_owned());
            }
            printed += &(line + "\n");
        }
    }

    /// Commands behind a `$`, each with what it prints.
    pub fn session(&mut self, lines: &[&str]) {
        for session in format!("\n{}", lines.join("\n")).split("\n$ ").skip(1) {
            let (command, expected) = session.split_once('\n').unwrap_or((session, ""));
            if let Some(server) = command.strip_suffix(" &") {
                self.serve(server);
                continue;
            }
            let (printed, _) = self.run(command);
            assert!(
                self.values.explain(&printed, expected.trim_end()),
                "$ {command}\n{printed}\n\nthe page has:\n{expected}"
            );
        }
    }

    /// A command that stays, once it answers.
    fn serve(&mut self, server: &str) {
        self.run(&format!("{server} >background.log 2>&1 &"));
        let own = server.split("--listen 127.0.0.1:").nth(1).and_then(|rest| rest.split(' ').next());
        let port = self.with_our_ports(&format!(":{}", own.unwrap_or(PORTS[0])));
        for _ in 0..1200 {
            if TcpStream::connect(format!("127.0.0.1{port}")).is_ok() {
                return;
            }
            thread::sleep(Duration::from_millis(50));
        }
        let log = fs::read_to_string(self.folder.path().join("background.log")).unwrap_or_default();
        panic!("nobody answers:\n$ {server} &\n{log}");
    }

    /// Commands that succeed, whatever they print.
    fn script(&mut self, script: &str) {
        let (printed, status) = self.run(&format!("set -e\n{script}\nset +e"));
        assert_eq!(status, "0", "{script}\n{printed}");
    }

    /// Puts the lines with a plus in the place of those with a minus, which must be there once.
    fn patch(&self, file: &str, lines: &[&str]) {
        let file = self.folder.path().join(file);
        let signed = |sign: char| -> String {
            lines.iter().filter_map(|line| line.strip_prefix(sign)).map(|line| format!("{line}\n")).collect()
        };
        let text = fs::read_to_string(&file).unwrap();
        let (old, new) = (signed('-'), signed('+'));
        assert_eq!(text.matches(&old).count(), 1, "not once in {}:\n{old}", file.display());
        fs::write(file, text.replace(&old, &new)).unwrap();
    }

    fn with_our_ports(&self, text: &str) -> String {
        let ports = PORTS.iter().zip(&self.ports);
        ports.fold(text.to_owned(), |text, (page, ours)| text.replace(&format!(":{page}"), &format!(":{ours}")))
    }

    fn with_the_pages_ports(&self, text: &str) -> String {
        let ports = PORTS.iter().zip(&self.ports);
        ports.fold(text.to_owned(), |text, (page, ours)| text.replace(&format!(":{ours}"), &format!(":{page}")))
    }
}

impl Drop for Walk {
    /// The shell ends with its keyboard, and ends what it has started.
    fn drop(&mut self) {
        drop(self.keyboard.take());
        _ = self.shell.wait();
    }
}
