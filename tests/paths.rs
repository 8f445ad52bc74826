//! A program may change its folder: what was opened by a relative path stays what it was.

mod support;

use std::env;
use std::ffi::{CStr, c_char};

use bulk_rerun::{Config, Plugin, capi};
use serde_json::Value;
use support::{Row, Store};

/// The tasks that a dry run of everything would start.
fn tasks(answer: &str) -> Vec<String> {
    let answer: Value = serde_json::from_str(answer).unwrap();
    let planned = answer["planned"].as_array().unwrap_or_else(|| panic!("{answer}"));
    planned.iter().map(|group| group["task_name"].as_str().unwrap().to_owned()).collect()
}

const DRY_RUN: &CStr = c"{\"match_all\": true, \"options\": {\"dry_run\": true}}";

fn by_default_plugin() -> Vec<String> {
    // SAFETY: the request is a C string, and so is the answer, which is freed once.
    unsafe {
        let answer: *mut c_char = capi::bulk_rerun(DRY_RUN.as_ptr());
        let tasks = tasks(CStr::from_ptr(answer).to_str().unwrap());
        capi::bulk_rerun_string_free(answer);
        tasks
    }
}

#[test]
fn an_open_plugin_goes_on_with_its_store() {
    let [here, elsewhere] =
        ["here", "elsewhere"].map(|task| Store::new().holding(&[Row::failed("a", task, "2026-04-15T12:00:00Z")]));
    let name = here.path.file_name().unwrap().to_str().unwrap();
    assert_eq!(elsewhere.path.file_name(), here.path.file_name());
    env::set_current_dir(here.path.parent().unwrap()).unwrap();
    // SAFETY: this is the only test of its process, and no other thread of it reads the environment.
    unsafe { env::set_var("BULK_RERUN_STORE", name) };

    let prefixed = format!("sqlite:{name}");
    let opened = [name, &prefixed].map(|store| Plugin::open(&Config::new(store)).unwrap());
    let json = format!(r#"{{"store": "{name}", "tasks": "no/such.toml", "profile": "mine.toml"}}"#);
    let read = [Config::from_env().unwrap(), Config::from_json(json.as_bytes()).unwrap()];
    assert_eq!(by_default_plugin(), ["here"]);

    env::set_current_dir(elsewhere.path.parent().unwrap()).unwrap();
    assert_eq!(by_default_plugin(), ["here"]);
    for plugin in &opened {
        assert_eq!(tasks(&plugin.call(DRY_RUN.to_bytes()).unwrap()), ["here"]);
    }
    // Absolute from the moment it was read, though it is opened here.
    let [from_environment, all] = &read;
    let plugin = Plugin::open(from_environment).unwrap();
    assert_eq!(tasks(&plugin.call(DRY_RUN.to_bytes()).unwrap()), ["here"]);
    let folder = here.path.parent().unwrap();
    assert_eq!(all.tasks.as_deref(), Some(&*folder.join("no/such.toml")));
    assert_eq!(all.profile.as_deref(), folder.join("mine.toml").to_str());
}
