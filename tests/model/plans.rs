//! Which runs are selected, what groups they make, and why some are skipped.

use crate::support::model::answer::Skipped;
use crate::support::model::{Request, Run, Unique, Value};
use crate::{all, by, bytes, failed, ids, only_failed, succeeded, text};

/// A dry run: what is planned as `task/source matched`, and what is skipped as `task/run reason`.
struct Line {
    says: &'static str,
    runs: Vec<Run>,
    request: Request,
    planned: &'static [&'static str],
    skipped: &'static [&'static str],
}

fn shown(line: &Line) -> (Vec<String>, Vec<String>) {
    let plan = line.request.plan(&line.runs);
    let planned = plan.planned().into_iter().map(|group| format!("{}/{} {}", group.task, group.source, group.matched));
    let name = |name: &Option<String>| name.clone().unwrap_or_else(|| "-".to_owned());
    let skip = |skip: &Skipped| format!("{}/{} {}", name(&skip.task), name(&skip.run), skip.reason);
    (planned.collect(), plan.skipped.iter().map(skip).collect())
}

#[test]
fn what_makes_a_run_itself() {
    let (mail, z) = (|| text("mail"), || text("z"));
    let paired = || vec![failed(mail(), text("1")), succeeded(z(), text("1"))];
    let numbers = |one: i64, two: i64| vec![failed(mail(), Value::Integer(one)), failed(mail(), Value::Integer(two))];
    let names = |one: Value, two: Value| vec![failed(one, text("1")), failed(two, text("2"))];
    let parameters = |one: Value, two: Value| {
        vec![
            failed(mail(), text("1")).with(|run| run.params = one),
            failed(mail(), text("2")).with(|run| run.params = two),
        ]
    };
    let lines = [
        line("A1: an id is one within its task only", paired(), only_failed(), &["mail/1 1"], &[]),
        line("A1: a named id means every run that bears it", paired(), ids(&["1"]), &["mail/1 1", "z/1 1"], &[]),
        line(
            "A1: and each of them is a run of its own",
            paired(),
            by(Unique::Run, ids(&["1", "1"])),
            &["mail/1 1", "z/1 1"],
            &[],
        ),
        line(
            "A1: as an exception, too",
            paired(),
            Request { except_ids: vec!["1".to_owned(), "x".to_owned()], ..all() },
            &[],
            &[],
        ),
        line("A2: numbers by number", numbers(9, 10), all(), &["mail/10 2"], &[]),
        line("A2: in any order", numbers(10, 9), all(), &["mail/10 2"], &[]),
        line("A2: negative ones, too", numbers(-9, -10), all(), &["mail/-9 2"], &[]),
        line(
            "A2: texts by their bytes",
            vec![failed(mail(), text("9")), failed(mail(), text("10"))],
            all(),
            &["mail/9 2"],
            &[],
        ),
        line(
            "A2: numbers below texts",
            vec![failed(mail(), Value::Integer(9)), failed(mail(), text("10"))],
            all(),
            &["mail/10 2"],
            &[],
        ),
        line(
            "A2: the time comes first",
            vec![Run::failed(mail(), Value::Integer(9), 13), failed(mail(), Value::Integer(10))],
            all(),
            &["mail/9 2"],
            &[],
        ),
        line(
            "A2: a time that can't be read is the oldest",
            vec![failed(mail(), Value::Integer(9)), failed(mail(), Value::Integer(10)).with(|run| run.instant = None)],
            all(),
            &["mail/9 2"],
            &[],
        ),
        line(
            "A2: superseded by the higher number",
            vec![failed(mail(), Value::Integer(9)), succeeded(mail(), Value::Integer(10))],
            Request { skip_superseded: true, ..only_failed() },
            &[],
            &["mail/9 superseded"],
        ),
        line(
            "A2: and not by the lower one",
            vec![failed(mail(), Value::Integer(10)), succeeded(mail(), Value::Integer(9))],
            Request { skip_superseded: true, ..only_failed() },
            &["mail/10 1"],
            &[],
        ),
        line(
            "A2: the answer's order is by bytes, though",
            numbers(9, 10),
            by(Unique::Run, all()),
            &["mail/10 1", "mail/9 1"],
            &[],
        ),
        line(
            "A3: a blob's bytes are its id",
            vec![failed(mail(), bytes(b"a"))],
            ids(&["a", "b"]),
            &["mail/a 1"],
            &["-/b not_found"],
        ),
        line(
            "A3: a number's are its digits",
            numbers(7, 8),
            ids(&["7", "007", " 8"]),
            &["mail/7 1"],
            &["-/007 not_found", "-/ 8 not_found"],
        ),
        line(
            "A4: handed over twice, it is one run",
            vec![failed(mail(), text("1")).with(|run| run.times = 2)],
            by(Unique::Run, all()),
            &["mail/1 1"],
            &[],
        ),
        line(
            "A4: what has no id is like nothing else",
            vec![failed(mail(), Value::Null).with(|run| run.times = 2)],
            by(Unique::Run, all()),
            &[],
            &["mail/- refused", "mail/- refused"],
        ),
        line(
            "A5: names are equal when their bytes are",
            names(text("Report"), text("REPORT")),
            Request { task_name: Some("Report".to_owned()), ..all() },
            &["Report/1 1"],
            &[],
        ),
        line(
            "A5: so they are two groups",
            names(text("Report"), text("REPORT")),
            all(),
            &["REPORT/2 1", "Report/1 1"],
            &[],
        ),
        line("A5: and one, whatever the class", names(text("report"), bytes(b"report")), all(), &["report/2 2"], &[]),
        line(
            "A6: what is not UTF-8 is never started, and stays apart",
            names(bytes(b"u\xff"), bytes(b"u\xfe")),
            all(),
            &[],
            &["x'75fe'/2 refused", "x'75ff'/1 refused"],
        ),
        line(
            "A6: nor what is empty, or nothing",
            names(text(""), Value::Null),
            all(),
            &[],
            &["-/2 refused", "/1 refused"],
        ),
        line(
            "A6: it is found by its text",
            names(bytes(b"u\xff"), text("o")),
            Request { search: Some("U".to_owned()), ..all() },
            &[],
            &["x'75ff'/1 refused"],
        ),
        line(
            "A7: the same parameters, text or blob",
            parameters(text("{}"), bytes(b"{}")),
            by(Unique::Params, all()),
            &["mail/2 2"],
            &[],
        ),
        line(
            "A7: none are others than empty ones",
            parameters(Value::Null, text("")),
            by(Unique::Params, all()),
            &["mail/1 1", "mail/2 1"],
            &[],
        ),
        line(
            "A7: one of the same is active",
            vec![
                failed(mail(), text("1")).with(|run| run.params = text("{}")),
                failed(mail(), text("2"))
                    .with(|run| (run.params, run.phase, run.end_reason) = (bytes(b"{}"), "running".to_owned(), None)),
            ],
            Request { skip_active: true, ..by(Unique::Params, only_failed()) },
            &[],
            &["mail/1 active"],
        ),
    ];
    check(&lines);
}

#[test]
fn why_a_group_is_skipped() {
    let mail = |change: fn(&mut Run)| failed(text("mail"), text("1")).with(change);
    let pending = |task: &str| {
        failed(text(task), text("2")).with(|run| (run.phase, run.end_reason) = ("pending".to_owned(), None))
    };
    let unfit = |word: &'static str| failed(text("mail"), text("1")).with(|run| run.unfit = Some(word.to_owned()));
    let active = || Request { skip_active: true, ..only_failed() };
    let superseded = || Request { skip_superseded: true, ..only_failed() };
    let since = || vec![mail(|_| ()), succeeded(text("mail"), text("2"))];
    let lines = [
        line("one of the task is pending", vec![mail(|_| ()), pending("mail")], active(), &[], &["mail/1 active"]),
        line("one of another task", vec![mail(|_| ()), pending("z")], ids(&["1"]), &["mail/1 1"], &[]),
        line("soft-deleted", vec![mail(|run| run.deleted = true)], ids(&["1"]), &[], &["-/1 not_found"]),
        line("an unknown id counts once", vec![], ids(&["x", "y", "x"]), &[], &["-/x not_found", "-/y not_found"]),
        line("a service, before all else", vec![unfit("service"), pending("mail")], active(), &[], &["mail/1 service"]),
        line("a word of its own, after", vec![unfit("archived"), pending("mail")], active(), &[], &["mail/1 active"]),
        line("a word of its own", vec![unfit("archived")], active(), &[], &["mail/1 refused"]),
        line("succeeded since", since(), superseded(), &[], &["mail/1 superseded"]),
        line(
            "succeeded since with other parameters",
            vec![mail(|run| run.params = text("{}")), succeeded(text("mail"), text("2"))],
            by(Unique::Params, superseded()),
            &["mail/1 1"],
            &[],
        ),
        line(
            "a soft-deleted success is none",
            vec![mail(|_| ()), succeeded(text("mail"), text("2")).with(|run| run.deleted = true)],
            superseded(),
            &["mail/1 1"],
            &[],
        ),
        line(
            "the portions",
            vec![mail(|_| ()), failed(text("report"), text("1")), failed(text("z"), text("1"))],
            Request { take: Some(1), except_groups: vec![("mail".to_owned(), "1".to_owned())], ..all() },
            &["report/1 1"],
            &["mail/1 left_out", "z/1 not_taken"],
        ),
        line(
            "what is never started takes nobody's place, and is not taken itself where there is none",
            vec![unfit("archived"), failed(text("report"), text("1")), failed(text("z"), Value::Null)],
            Request { take: Some(1), ..all() },
            &["report/1 1"],
            &["mail/1 refused", "z/- not_taken"],
        ),
        line(
            "tasks that are left out",
            vec![mail(|_| ()), failed(text("Mail"), text("1"))],
            Request { except_tasks: vec!["mail".to_owned(), "x".to_owned()], ..all() },
            &["Mail/1 1"],
            &[],
        ),
    ];
    check(&lines);
}

#[test]
fn what_matches_a_filter() {
    let run = || failed(text("mail"), text("a1"));
    let filter = |change: fn(&mut Request)| {
        let mut request = all();
        change(&mut request);
        request
    };
    let cases: [(bool, Run, Request); 14] = [
        (true, run(), filter(|request| request.status = Some(" , ".to_owned()))),
        (true, run(), filter(|request| request.status = Some("running, ended".to_owned()))),
        (false, run(), filter(|request| request.status = Some("Failed".to_owned()))),
        (
            true,
            run().with(|run| run.end_reason = Some("success".to_owned())),
            filter(|request| request.status = Some("succeeded".to_owned())),
        ),
        (true, run(), filter(|request| request.status = Some("failure".to_owned()))),
        (false, run().with(|run| run.mark = Some(false)), filter(|request| request.is_failure = true)),
        (
            true,
            run().with(|run| run.mark = Some(false)),
            filter(|request| (request.is_failure, request.status) = (true, Some("failed".to_owned()))),
        ),
        (true, run(), filter(|request| request.search = Some("AIL".to_owned()))),
        (false, run(), filter(|request| request.search = Some("%".to_owned()))),
        (false, run().with(|run| run.phase = "pending".to_owned()), filter(|request| request.exit_code_min = Some(-9))),
        (true, run(), filter(|request| (request.exit_code_min, request.exit_code_max) = (Some(1), Some(1)))),
        (true, run(), filter(|request| (request.created_after, request.created_before) = (Some(12), Some(12)))),
        (false, run().with(|run| run.instant = None), filter(|request| request.created_before = Some(12))),
        (false, run(), filter(|request| request.retries_only = true)),
    ];
    for (place, (matches, run, request)) in cases.into_iter().enumerate() {
        assert_eq!(request.plan(&[run]).matched, usize::from(matches), "{place}");
    }
}

fn check(lines: &[Line]) {
    for line in lines {
        assert_eq!(shown(line), (owned(line.planned), owned(line.skipped)), "{}", line.says);
    }
}

fn line(
    says: &'static str,
    runs: Vec<Run>,
    request: Request,
    planned: &'static [&'static str],
    skipped: &'static [&'static str],
) -> Line {
    Line { says, runs, request, planned, skipped }
}

fn owned(lines: &[&str]) -> Vec<String> {
    lines.iter().map(|line| (*line).to_owned()).collect()
}
