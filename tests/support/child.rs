//! The command line tool as a child process: for what a test can't do to its own process.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use bulk_rerun::ErrorModel;
use serde_json::Value;

/// `bulk-rerun rerun` with a selector on its standard input, started by `wrapper` (a command to
/// put before it, empty for none).
pub fn rerun(wrapper: &[&str], store: &str) -> Command {
    let binary = env!("CARGO_BIN_EXE_bulk-rerun");
    let mut words = wrapper.iter().copied().chain([binary]);
    let mut command = Command::new(words.next().expect("there is the binary at least"));
    command.args(words).args(["rerun", "--store", store, "--selector", "-", "--yes", "--json"]);
    // Not this test's standard error: that may be a file, for which a child's limits count, too.
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// What the child answers to a request.
pub fn answer(mut command: Command, request: &Value) -> Result<Value, ErrorModel> {
    let mut child =
        command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}; `bash tests/run` installs what it needs"));
    child.stdin.take().unwrap().write_all(request.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        let said = [&output.stdout[..], &output.stderr].concat();
        panic!("{error}, {}: {}", output.status, String::from_utf8_lossy(&said))
    });
    match answer["status"].as_u64() {
        Some(status) => Err(ErrorModel::new(status as u16, answer["detail"].as_str().unwrap())),
        None => Ok(answer),
    }
}

/// A wrapper under which file permissions count, as they don't for root: empty for a normal user.
pub fn bound_by_permissions() -> &'static [&'static str] {
    let probe = tempfile::NamedTempFile::new().unwrap();
    let read_only = std::os::unix::fs::PermissionsExt::from_mode(0o444);
    fs::set_permissions(Path::new(probe.path()), read_only).unwrap();
    match fs::OpenOptions::new().append(true).open(probe.path()) {
        // Root without any capability is a user like any other.
        Ok(_) => &["setpriv", "--inh-caps=-all", "--bounding-set=-all", "--"],
        Err(_) => &[],
    }
}

/// A disk of its own for a child: a tmpfs of `kilobytes`, in a mount namespace that any user may
/// make. The child works on a copy there, which is brought back when it ends.
const ON_A_SMALL_DISK: &str = r#"
folder=$1; kilobytes=$2; shift 2
aside=$(mktemp -d) || exit
cp "$folder"/* "$aside" && mount -t tmpfs -o "size=${kilobytes}k" none "$folder" && cp "$aside"/* "$folder" || exit
"$@"; status=$?
cp "$folder"/* "$aside" && umount "$folder" && cp "$aside"/* "$folder" && rm -r "$aside" || exit
exit $status
"#;

/// A wrapper under which a store is on a disk that has so many kilobytes left beside it.
pub fn on_a_small_disk(store: &Path, left: u64) -> Vec<String> {
    let kilobytes = fs::metadata(store).unwrap().len() / 1024 + left;
    let folder = store.parent().unwrap().to_str().unwrap();
    let unshare = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", ON_A_SMALL_DISK, "sh", folder];
    unshare.map(str::to_owned).into_iter().chain([kilobytes.to_string()]).collect()
}

/// Whether this machine lets us have a small disk; says so where it does not.
pub fn has_small_disks() -> bool {
    let mut probe = Command::new("unshare");
    probe.args(["--user", "--map-root-user", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"]).stderr(Stdio::null());
    let has = probe.status().is_ok_and(|status| status.success());
    if !has {
        // Written past the test harness, which would keep it to itself.
        let text = "\nNOT TESTED: a full disk (user namespaces are not permitted here)\n";
        std::io::stderr().write_all(text.as_bytes()).unwrap();
    }
    has
}

/// A wrapper under which the time is another one: `-10d`, `+1h`.
pub fn at(offset: &str) -> [&str; 5] {
    ["faketime", "-m", "--exclude-monotonic", "-f", offset]
}
