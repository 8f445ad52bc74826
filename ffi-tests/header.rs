//! The header's examples, as they stand: compiled as C and as C++, and run.

use std::process::Command;

use libtest_mimic::{Failed, Trial};

use crate::languages::folder;
use crate::library::{Installed, run};
use crate::stores::Stores;

pub fn trials() -> Vec<Trial> {
    let languages = [("gcc", "c99"), ("gcc", "c17"), ("g++", "c++98"), ("g++", "c++11"), ("clang++", "c++20")];
    let trial = |(compiler, language)| {
        Trial::test(format!("header: its examples in {language} [{compiler}]"), move || examples(compiler, language))
    };
    languages.map(trial).into()
}

/// What the examples take for granted.
const BEFORE: &str = r#"
#define _POSIX_C_SOURCE 200809L
#include <bulk_rerun.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#ifdef __cplusplus
#include <string>
#endif
"#;

fn examples(compiler: &str, language: &str) -> Result<(), Failed> {
    let header = std::fs::read_to_string(Installed::get().prefix.join("include/bulk_rerun.h"))?;
    let mut functions = String::new();
    let mut statements = String::new();
    for example in blocks(&header) {
        // Where one needs C++, those that use its function do.
        if language.starts_with('c')
            && !language.starts_with("c++")
            && (example.contains("try {") || example.contains("keep_some"))
        {
            continue;
        }
        let (of_functions, of_statements) = split(&example);
        functions += &of_functions;
        if !of_statements.is_empty() {
            statements += &format!("    {{\n{of_statements}    }}\n");
        }
    }
    assert!(functions.contains("my_spawn") && statements.matches("bulk_rerun_call").count() > 5, "{statements}");
    let program = format!(
        "{BEFORE}{functions}int main(void) {{
    const char *request = \"{{\\\"match_all\\\": true, \\\"filter\\\": {{\\\"status\\\": \\\"failed\\\"}}}}\";
    bulk_rerun_plugin *plugin = bulk_rerun_open(\"{{\\\"store\\\": \\\"runs.db\\\", \\\"ledger\\\": true}}\", NULL);
{statements}    bulk_rerun_close(plugin);
    puts(\"done\");
    return 0;
}}\n"
    );

    let folder = folder("header");
    let extension = if language.starts_with("c++") { "cpp" } else { "c" };
    let source = folder.join(format!("{compiler}-{language}.{extension}"));
    let binary = source.with_extension("bin");
    std::fs::write(&source, program)?;
    let mut compile = Command::new(compiler);
    compile.arg(format!("-std={language}")).args(["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-pthread", "-o"]);
    compile.arg(&binary).arg(&source);
    run(compile.args(Installed::get().pkg_config(&["--cflags", "--libs", "bulk_rerun"])));

    let stores = Stores::new();
    let folder = stores.wal.parent().expect("it is in a folder");
    std::fs::copy(&stores.rollback, folder.join("runs.db"))?;
    let mut program = Command::new(binary);
    program.current_dir(folder).env("BULK_RERUN_STORE", "runs.db").env("LD_LIBRARY_PATH", Installed::get().lib());
    let said = run(&mut program);
    let errors: Vec<&str> =
        said.lines().filter(|line| line.contains("\"type\":\"about:blank\"") && !line.contains("/nowhere/")).collect();
    assert!(errors.is_empty() && said.contains("\"run_id\"") && said.ends_with("done\n"), "{said}");
    Ok(())
}

/// The header's examples: what is fenced, and in its first comment what is indented, without the table.
fn blocks(header: &str) -> Vec<String> {
    let mut blocks = vec![String::new()];
    let mut is_fenced = false;
    for line in header.lines() {
        let text = line.trim_start().strip_prefix('*').unwrap_or_default();
        let text = text.strip_prefix(' ').unwrap_or(text);
        if text.starts_with("```") {
            is_fenced = !is_fenced;
        }
        let code = match text.strip_prefix("    ") {
            _ if text.starts_with("```") => None,
            _ if is_fenced => Some(text),
            indented => indented,
        };
        match code {
            Some(code) => *blocks.last_mut().expect("there is one") += &format!("{code}\n"),
            // A blank line between two that are indented is a part of theirs.
            None if text.is_empty() && blocks.last().is_some_and(|block| block.starts_with("static void *")) => {}
            None => blocks.push(String::new()),
        }
    }
    blocks.retain(|block| !block.is_empty() && !block.starts_with("function (bulk_rerun...)"));
    blocks
}

/// A block's functions, which begin and end at the margin, and its statements.
fn split(block: &str) -> (String, String) {
    let (mut functions, mut statements) = (String::new(), String::new());
    let mut in_a_function = false;
    for line in block.lines() {
        in_a_function |= line.ends_with('{') && (line.starts_with("static ") || line.starts_with("extern "));
        let part = if in_a_function { &mut functions } else { &mut statements };
        *part += &format!("{line}\n");
        in_a_function &= line != "}";
    }
    (functions, statements)
}
