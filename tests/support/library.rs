//! The shared library as its users get it: built, and installed by `make install`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// A prefix with the library, its header and its pkg-config file.
pub struct Installed {
    pub prefix: PathBuf,
}

impl Installed {
    /// The library of the release, installed once a process. BULK_RERUN_TEST_PROFILE=dev takes one that is built faster.
    pub fn get() -> &'static Installed {
        static INSTALLED: OnceLock<Installed> = OnceLock::new();
        INSTALLED.get_or_init(|| {
            // One for each program of the tests: they run side by side.
            let program = std::env::current_exe().expect("this program");
            let name = program.file_name().and_then(|name| name.to_str()).expect("its name");
            let name = name.rsplit_once('-').map_or(name, |(name, _hash)| name);
            let prefix = Path::new(env!("CARGO_TARGET_TMPDIR")).join("prefix").join(name);
            run(make().arg("--quiet"));
            run(make().args(["--quiet", "install"]).arg(format!("PREFIX={}", prefix.display())));
            Installed { prefix }
        })
    }

    /// The folder to load the library from.
    pub fn lib(&self) -> PathBuf {
        self.prefix.join("lib")
    }

    /// What pkg-config says that a program needs: `--cflags`, `--libs`.
    pub fn pkg_config(&self, arguments: &[&str]) -> Vec<String> {
        let mut command = Command::new("pkg-config");
        command.env("PKG_CONFIG_PATH", self.lib().join("pkgconfig")).args(arguments);
        run(&mut command).split_whitespace().map(str::to_owned).collect()
    }

    /// What cgo needs to find the library. Go keeps what it has compiled, and does not see that pkg-config says something
    /// else by now: it would link with a folder that is gone. What is in the environment it does see.
    #[allow(dead_code, reason = "not every test has programs in Go")]
    pub fn for_go<'a>(&self, go: &'a mut Command) -> &'a mut Command {
        go.env("PKG_CONFIG_PATH", self.lib().join("pkgconfig"))
            .env("CGO_LDFLAGS", format!("-L{}", self.lib().display()))
    }
}

/// Compiles a program of `ffi-tests/c` against the installed header.
pub fn compile_c(program: &str, libraries: &[&str]) -> PathBuf {
    compile_c_as("c", &[], program, libraries)
}

/// As [`compile_c`], in a way of its own: with these flags, into this folder.
pub fn compile_c_as(folder: &str, flags: &[&str], program: &str, libraries: &[&str]) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(folder);
    std::fs::create_dir_all(&folder).expect("a folder for the programs");
    let binary = folder.join(program);
    // Under a name of its own first: another process of the tests may be running the one that is there.
    let unfinished = folder.join(format!("{program}.{}", std::process::id()));
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("ffi-tests/c").join(program).with_extension("c");
    let mut gcc = Command::new("gcc");
    gcc.args(["-std=gnu11", "-g", "-O1", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-pthread"]).args(flags);
    gcc.args(Installed::get().pkg_config(&["--cflags", "--libs-only-L", "bulk_rerun"]));
    run(gcc.arg("-o").arg(&unfinished).arg(source).args(libraries));
    std::fs::rename(&unfinished, &binary).expect("the program gets its name");
    binary
}

/// `make` in the project's folder, with the cargo that runs the tests.
pub fn make() -> Command {
    let mut command = Command::new("make");
    command.current_dir(env!("CARGO_MANIFEST_DIR")).env_remove("MAKEFLAGS");
    if let Ok(profile) = std::env::var("BULK_RERUN_TEST_PROFILE") {
        command.arg(format!("PROFILE={profile}"));
    }
    without_our_package(&mut command).env("CARGO", env!("CARGO"));
    command
}

/// Takes what cargo tells a test of its package out of a command's environment: build scripts that
/// look at it (ring's) would run anew, and all that depends on them.
pub fn without_our_package(command: &mut Command) -> &mut Command {
    let ours = |name: &str| name == "OUT_DIR" || name.starts_with("CARGO_MANIFEST_") || name.starts_with("CARGO_PKG_");
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(ours)) {
        command.env_remove(name);
    }
    command
}

/// What a command that succeeds prints.
#[track_caller]
pub fn run(command: &mut Command) -> String {
    let said = format!("{command:?}");
    let output = command.output().unwrap_or_else(|error| panic!("{said}: {error}; `bash tests/run` installs it"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{said}\n{}\n{out}{err}", output.status);
    out
}
