//! libpq's service files: parameters of a connection under a name.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::address::unusable;
use crate::host::HostError;

/// Where Debian, and most others, have the system's own, unless `PGSYSCONFDIR` says otherwise.
const SYSTEM: &str = "/etc/postgresql-common";

/// A service's parameters, and the file that they are in: the one that is named, else `~/.pg_service.conf`; then the
/// system's.
///
/// # Errors
///
/// No file has the service, or it can't be read as such.
pub(super) fn find(
    name: &str,
    named: Option<&str>,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<(BTreeMap<String, String>, PathBuf), HostError> {
    let own = named.map(PathBuf::from).or_else(|| Some(Path::new(&variable("HOME")?).join(".pg_service.conf")));
    let system = Path::new(&variable("PGSYSCONFDIR").unwrap_or_else(|| SYSTEM.to_owned())).join("pg_service.conf");
    let files: Vec<PathBuf> = own.into_iter().chain([system]).collect();
    for (file, is_named) in files.iter().zip([named.is_some(), false]) {
        let text = match fs::read_to_string(file) {
            Ok(text) => text,
            Err(error) if !is_named && error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(unusable(&format!("the service file {} can't be read: {error}", file.display()))),
        };
        let found = section(&text, name).map_err(|what| unusable(&format!("{}, {what}", file.display())))?;
        if let Some(parameters) = found {
            return Ok((parameters, file.clone()));
        }
    }
    let files: Vec<_> = files.iter().map(|file| file.display().to_string()).collect();
    Err(unusable(&format!(
        "there is no service {name} in {}; PGSERVICEFILE names another file",
        files.join(", nor in ")
    )))
}

/// What stands under a name. What is wrong is told by its line alone, for that may have a password in it.
fn section(text: &str, name: &str) -> Result<Option<BTreeMap<String, String>>, String> {
    let mut found: Option<BTreeMap<String, String>> = None;
    for (number, line) in (1..).zip(text.lines().map(str::trim)) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(section) = line.strip_prefix('[') {
            if found.is_some() {
                break;
            }
            found = (section.strip_suffix(']') == Some(name)).then(BTreeMap::new);
            continue;
        }
        let Some(found) = &mut found else { continue };
        if line.starts_with("ldap") {
            return Err(format!("line {number}: services that are kept in LDAP are not looked up here"));
        }
        let (keyword, value) = line.split_once('=').ok_or(format!("line {number}: this is no parameter=value"))?;
        if matches!(keyword, "service" | "servicefile") {
            return Err(format!("line {number}: a service can't name another one"));
        }
        // As with libpq, the first one is it.
        found.entry(keyword.to_owned()).or_insert_with(|| value.to_owned());
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_what_stands_under_its_name() {
        let text = "# ours\n[other]\nhost=no\n\n[jobs]\nhost=db\n  port=7 \n\
                    #user=x\nhost=later\npassword=a=b\n[jobs]\nuser=no\n";
        let found = section(text, "jobs").unwrap().unwrap();
        let found: Vec<_> = found.iter().map(|(keyword, value)| format!("{keyword}={value}")).collect();
        assert_eq!(found, ["host=db", "password=a=b", "port=7"]);
        assert_eq!(section(text, "none").unwrap(), None);
        assert!(section("[jobs]\npassword s3cret\n", "jobs").unwrap_err().starts_with("line 2"));
        assert!(section("[jobs]\nservice=x\n", "jobs").unwrap_err().contains("another one"));
        assert!(section("[jobs]\nldap://x\n", "jobs").unwrap_err().contains("LDAP"));
        assert_eq!(section("[other]\nservice=x\n[jobs]\n", "jobs").unwrap(), Some(BTreeMap::new()));
    }
}
