//! What a call does, and what its answer must say.

use serde_json::{Value as Json, json};

use crate::support::model::answer::check_skipped;
use crate::support::model::call::{Change, changed};
use crate::support::model::outcome::check_call;
use crate::support::model::plan::Moments;
use crate::support::model::{Act, Fate, Ids, NewRow, Request, Run, Trial, Unique, Value, check_dry_run};
use crate::{all, by, bytes, failed, only_failed, text};

/// What a call answers, in the end, to a request for every failed run of `mail` and `z`.
fn answer(triggered: &[(&str, &str, &str)], skipped: Json) -> Json {
    let run = |(task, source, new): &(&str, &str, &str)| json!({"task_name": task, "rerun_of": source, "run_id": new});
    json!({"triggered": triggered.iter().map(run).collect::<Vec<_>>(), "skipped": skipped})
}

fn new(task: &str, id: &str, params: &str) -> NewRow {
    NewRow { task: text(task), id: text(id), phase: text("pending"), params: text(params) }
}

#[test]
fn what_is_answered_is_what_is_there() {
    let with = |task: &str, params: &str| failed(text(task), text("1")).with(|run| run.params = text(params));
    let runs = [with("mail", "m"), with("z", "z")];
    let request = only_failed();
    let check = |fate: Fate, answer: &Json, new: &[NewRow]| {
        let of = |run: &Run| if run.task.is("z") { fate } else { Fate::Started };
        Trial { request: &request, search: &runs, spawn: &runs, expected: None, fate: &of, in_one_moment: true }
            .check(answer, new)
    };
    let both = || [new("mail", "n", "m"), new("z", "o", "z")];
    let whole = json!({"triggered": answer(&[("mail", "1", "n"), ("z", "1", "o")], json!([]))["triggered"]});
    let declined = || json!([{"task_name": "z", "run_id": "1", "reason": "refused", "detail": "the queue is closed"}]);
    let half = answer(&[("mail", "1", "n")], declined());
    check(Fate::Started, &whole, &both()).unwrap();
    // B1, B4: swallowed, ended at once, or under another id.
    check(Fate::Refused, &half, &both()[..1]).unwrap();
    check(Fate::Refused, &whole, &both()).unwrap_err();
    check(Fate::Refused, &whole, &both()[..1]).unwrap_err();
    check(Fate::Refused, &half, &both()).unwrap_err();
    check(Fate::Either, &half, &both()[..1]).unwrap();
    check(Fate::Either, &whole, &both()).unwrap();
    check(Fate::Started, &half, &both()[..1]).unwrap_err();
    let unsaid = json!([{"task_name": "z", "run_id": "1", "reason": "refused"}]);
    check(Fate::Refused, &answer(&[("mail", "1", "n")], unsaid), &both()[..1]).unwrap_err();
    // B2: the new ids change places.
    check(Fate::Started, &answer(&[("mail", "1", "o"), ("z", "1", "n")], json!([])), &both()).unwrap_err();
    // A1: with another task's parameters, or started twice for one task.
    check(Fate::Started, &whole, &[new("mail", "n", "z"), new("z", "o", "z")]).unwrap_err();
    check(Fate::Started, &whole, &[new("mail", "n", "m"), new("mail", "o", "m")]).unwrap_err();
    // A6, A7: a copy of another class is no copy.
    let blob = NewRow { params: bytes(b"z"), ..new("z", "o", "z") };
    check(Fate::Started, &whole, &[new("mail", "n", "m"), blob]).unwrap_err();
    // A row more than was told, and a dry run's words in a real call's answer.
    check(Fate::Started, &whole, &[both().to_vec(), vec![new("z", "p", "z")]].concat()).unwrap_err();
    let mut told = whole.clone();
    told["plan"] = json!("sha256:0");
    check(Fate::Started, &told, &both()).unwrap_err();
}

#[test]
fn what_a_trigger_of_the_hosts_makes_of_a_new_run() {
    for (act, ids, sees, fate) in [
        (Act::Declines, Ids::Returned, true, Fate::Refused),
        (Act::Swallows, Ids::Ours, false, Fate::Refused),
        (Act::Ends, Ids::Ours, false, Fate::Refused),
        (Act::Hides, Ids::Returned, true, Fate::Refused),
        (Act::Renames, Ids::Ours, false, Fate::Refused),
        (Act::Renames, Ids::Returned, true, Fate::Started),
        (Act::Renames, Ids::Returned, false, Fate::Either),
        (Act::Renames, Ids::Drawn, true, Fate::Either),
    ] {
        assert_eq!(act.fate(ids, sees), fate, "{act:?} {ids:?}");
    }
}

#[test]
fn what_others_do_meanwhile() {
    let runs = [failed(text("mail"), text("1")), failed(text("z"), text("1"))];
    let pending = failed(text("z"), text("9")).with(|run| (run.phase, run.end_reason) = ("pending".to_owned(), None));
    // What changed, and the reason for z/1. The plan is another one each time; mail/1, whose id it has, is still there.
    let cases: [(&str, Change, Option<&str>); 6] = [
        ("B3: deleted", Change::Deleted(1), Some("gone")),
        ("B5: soft-deleted", Change::SoftDeleted(1), Some("gone")),
        ("another task's by now", Change::Renamed(1, text("y")), Some("gone")),
        ("tried again in its place", Change::Begins(1, "running"), Some("active")),
        ("another one of the task", Change::Appears(Box::new(pending)), Some("active")),
        ("with other parameters", Change::Parameters(1, text("{}")), None),
    ];
    for (says, change, reason) in cases {
        let request = Request { skip_active: true, ..only_failed() };
        let now = changed(&runs, &[change]);
        let moments = Moments { search: &runs, spawn: &now, superseded: &now, in_one_moment: true };
        let fate = |_: &Run| Fate::Started;
        let done = request.call(moments, None, &fate).unwrap();
        let reasons: Vec<&str> = done.skipped.iter().map(|skipped| skipped.reason).collect();
        assert_eq!(reasons, Vec::from_iter(reason), "{says}");
        assert_eq!(done.started.len(), 2 - reasons.len(), "{says}");
        let expected = request.plan(&runs);
        let refusal = request.call(moments, Some(&expected), &fate).err().map(|refusal| refusal.status());
        assert_eq!(refusal, Some(409), "{says}");
    }
    let still = Moments::still(&runs);
    assert!(only_failed().call(still, Some(&only_failed().plan(&runs)), &|_| Fate::Started).is_ok());
}

#[test]
fn a_limit_counts_what_would_be_started() {
    let runs = [failed(text("mail"), text("1")), failed(text("z"), text("1")), failed(text(""), text("1"))];
    let limited = |limit| Request { limit: Some(limit), ..only_failed() };
    let refused = limited(1).dry_run(&runs);
    check_dry_run(&json!({"status": 422, "detail": "2 new runs, and the limit is 1"}), &refused).unwrap();
    check_dry_run(&json!({"status": 422, "detail": "too many"}), &refused).unwrap_err();
    assert!(limited(2).dry_run(&runs).is_ok());
}

#[test]
fn groups_that_look_alike_may_change_places_and_others_not() {
    let run = |task: &str, word: &str| failed(text(task), Value::Null).with(|run| run.unfit = Some(word.to_owned()));
    let skipped = |runs: &[Run]| by(Unique::Run, all()).plan(runs).skipped;
    let said = |task: &str, reason: &str| json!({"task_name": task, "reason": reason, "detail": "its id is NULL"});
    let expected = skipped(&[run("mail", "service"), run("mail", "archived"), run("z", "archived")]);
    let turned = [said("mail", "refused"), said("mail", "service"), said("z", "refused")];
    check_skipped(&json!({ "skipped": turned }), &expected).unwrap();
    let wrong = [said("z", "refused"), said("mail", "service"), said("mail", "refused")];
    check_skipped(&json!({ "skipped": wrong }), &expected).unwrap_err();
    check_skipped(&json!({"skipped": []}), &[]).unwrap_err();
    let done = by(Unique::Run, all()).call(Moments::still(&[]), None, &|_| Fate::Started).unwrap();
    check_call(&json!({"triggered": []}), &done, &|_| Fate::Started, &[]).unwrap();
}
