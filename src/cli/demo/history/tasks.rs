//! The tasks of a company that sells furniture: what each one does, when, and how it fails.

use chrono::{Datelike, Days, NaiveDate, TimeDelta, Weekday};
use fastrand::Rng;
use serde_json::json;

use Parameters::*;
use Schedule::*;

/// A task, as the history is made of it and as the catalogue lists it.
pub(super) struct Task {
    pub(super) name: &'static str,
    pub(super) schedule: Schedule,
    /// How long it takes on an ordinary day.
    pub(super) seconds: i64,
    pub(super) command: &'static str,
    pub(super) parameters: Parameters,
    /// How often the daemon tries again by itself.
    pub(super) retries: u32,
    /// How it fails on an ordinary day.
    pub(super) trouble: Ending,
    /// How it fails without the database; `None` if it needs none.
    pub(super) without_database: Option<Ending>,
    pub(super) standing: Standing,
}

/// When a task is due, by the company's clock.
#[derive(Clone, Copy)]
pub(super) enum Schedule {
    /// Every so many minutes, from midnight on.
    Every(u32),
    /// At this minute of every hour.
    Hourly(u32),
    Daily(u32, u32),
    Weekly(Weekday, u32, u32),
    /// When somebody asks for it, about so many times a day.
    OnDemand(usize),
    /// Whenever the daemon starts.
    Startup,
}

/// What a run is given. Cron gives nothing, so a run with parameters has been asked for.
#[derive(Clone, Copy)]
pub(super) enum Parameters {
    Nothing,
    /// One run for each region and day.
    EachRegion,
    /// One run for each tenant and day.
    EachTenant,
    /// Some customer's order.
    Order,
    /// Some customer's data in some format.
    Export,
}

/// How a run ended.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Ending {
    Success,
    Exit(i64),
    Timeout,
    Crashed,
    LogOverflow,
    StartFailed,
    Stopped,
    DaemonStopped,
    Skipped,
    Missed,
}

/// What the catalogue says about a task.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Standing {
    Listed,
    /// It may not be started by hand.
    NeverByHand,
    /// It was taken out this morning.
    Retired,
}

/// What runs all the time.
pub(super) struct Service {
    pub(super) name: &'static str,
    pub(super) command: &'static str,
    /// It dies without the database, instead of waiting for it.
    pub(super) needs_database: bool,
}

pub(super) const SERVICES: [Service; 2] = [
    Service { name: "web-api", command: "web-api --listen 0.0.0.0:8080", needs_database: true },
    Service { name: "queue-worker", command: "queue-worker --queues mail,webhooks,thumbnails", needs_database: false },
];

/// Out of memory: killed by the kernel with signal 9.
pub(super) const OUT_OF_MEMORY: Ending = Ending::Exit(137);
/// `EX_TEMPFAIL`: try again later.
const TRY_LATER: Ending = Ending::Exit(75);
/// What `ssh` says when it can't connect.
const NO_CONNECTION: Ending = Ending::Exit(255);

#[rustfmt::skip]
pub(super) const TASKS: &[Task] = &[
    // The shop, around the clock.
    task("import-orders", Every(15), 40, "shop import-orders --since-last").without_database(TRY_LATER),
    task("sync-inventory", Every(30), 75, "shop sync-inventory --warehouse all").without_database(Ending::Exit(1)),
    task("sync-crm-contacts", Hourly(45), 110, "crm-sync contacts --both-ways").retries(2).without_database(Ending::Exit(2)),
    task("check-website", Every(30), 4, "curl -fsS https://shop.example.com/health").trouble(Ending::Exit(22)),
    task("poll-parcel-tracking", Hourly(20), 55, "parcels poll --carriers dhl,ups,posti").retries(1).trouble(TRY_LATER),
    task("sync-calendars", Hourly(35), 25, "calendar-sync --team delivery"),
    task("scan-uploads", Hourly(50), 140, "clamscan -r --infected /srv/uploads").trouble(Ending::Exit(2)),
    task("fetch-exchange-rates", Every(240), 3, "rates fetch --source ecb").retries(3).trouble(TRY_LATER),
    task("print-shipping-labels", OnDemand(18), 6, "labels print").given(Order).trouble(Ending::Exit(1)),
    task("render-order-confirmation", OnDemand(14), 9, "render-pdf confirmation").given(Order).trouble(Ending::Timeout),
    task("export-customer-data", OnDemand(5), 180, "privacy export").given(Export).trouble(OUT_OF_MEMORY),
    task("warm-cache", Startup, 35, "shop warm-cache --pages 500"),

    // Every night. Most of it needs the database.
    task("rotate-logs", Daily(0, 5), 20, "logrotate /etc/logrotate.d/shop"),
    task("expire-vouchers", Daily(1, 15), 45, "shop expire-vouchers").retries(1).without_database(Ending::Exit(1)),
    task("backup-postgres", Daily(1, 30), 1_500, "pg_dump --format=custom --file=/backup/shop.dump shop").retries(1).without_database(Ending::Exit(1)),
    task("vacuum-analytics", Daily(1, 45), 900, "vacuumdb --analyze analytics").retries(1).without_database(Ending::Timeout),
    task("nightly-invoices", Daily(2, 0), 70, "billing invoices").given(EachTenant).retries(3).without_database(TRY_LATER),
    task("import-supplier-prices", Daily(2, 20), 240, "prices import").given(EachRegion).retries(2).without_database(Ending::Exit(2)),
    task("archive-documents", Daily(2, 30), 600, "rclone copy /srv/documents archive:documents").retries(1).trouble(Ending::Exit(5)),
    task("train-recommendations", Daily(2, 45), 1_400, "recommend train --days 30").retries(1).trouble(OUT_OF_MEMORY).without_database(OUT_OF_MEMORY),
    task("sync-legacy-erp", Daily(2, 50), 320, "ssh erp.internal sync-all").retries(2).trouble(NO_CONNECTION).without_database(NO_CONNECTION).standing(Standing::Retired),
    task("build-sales-report", Daily(3, 0), 260, "reports sales").given(EachRegion).retries(1).without_database(Ending::Timeout),
    task("renew-certificates", Daily(3, 10), 12, "certbot renew --quiet"),
    task("reconcile-payments", Daily(3, 15), 420, "billing reconcile --yesterday").retries(2).without_database(Ending::Exit(1)),
    task("close-accounting-day", Daily(3, 30), 90, "billing close-day --yesterday").retries(1).without_database(Ending::Exit(1)).standing(Standing::NeverByHand),
    task("update-search-index", Daily(3, 45), 1_100, "search reindex --catalogue furniture").retries(1).without_database(Ending::Exit(1)),
    task("export-to-warehouse", Daily(3, 55), 480, "warehouse load --tables orders,payments").retries(1).without_database(Ending::Crashed),

    // By day and by week.
    task("clean-temporary-files", Daily(5, 40), 15, "find /srv/tmp -mtime +7 -delete"),
    task("send-delivery-reminders", Daily(8, 30), 130, "mailer reminders --tomorrow").retries(2).trouble(TRY_LATER),
    task("weekly-management-report", Weekly(Weekday::Mon, 6, 0), 700, "reports management --last-week").trouble(Ending::Timeout),
    task("send-newsletter", Weekly(Weekday::Tue, 9, 0), 2_400, "mailer newsletter --segment all").trouble(TRY_LATER),
    task("update-geoip-database", Weekly(Weekday::Wed, 5, 50), 40, "geoipupdate").retries(3),
    task("verify-backups", Weekly(Weekday::Sun, 6, 30), 3_000, "pg_restore --list /backup/shop.dump"),
    task("prune-container-images", Weekly(Weekday::Sun, 7, 20), 90, "docker image prune --all --force"),
];

const fn task(name: &'static str, schedule: Schedule, seconds: i64, command: &'static str) -> Task {
    Task {
        name,
        schedule,
        seconds,
        command,
        parameters: Nothing,
        retries: 0,
        trouble: Ending::Exit(1),
        without_database: None,
        standing: Standing::Listed,
    }
}

impl Task {
    const fn given(self, parameters: Parameters) -> Task {
        Task { parameters, ..self }
    }

    const fn retries(self, retries: u32) -> Task {
        Task { retries, ..self }
    }

    const fn trouble(self, trouble: Ending) -> Task {
        Task { trouble, ..self }
    }

    const fn without_database(self, ending: Ending) -> Task {
        Task { without_database: Some(ending), ..self }
    }

    const fn standing(self, standing: Standing) -> Task {
        Task { standing, ..self }
    }

    /// After how long the daemon ends it: twice its ordinary time, in whole minutes.
    pub(super) fn timeout(&self) -> TimeDelta {
        TimeDelta::minutes(self.seconds * 2 / 60 + 1)
    }
}

impl Schedule {
    /// The minutes of a day at which a task is due, or is asked for.
    pub(super) fn minutes(self, date: NaiveDate, random: &mut Rng) -> Vec<u32> {
        const DAY: u32 = 24 * 60;
        match self {
            Every(step) => (0..DAY).step_by(step as usize).collect(),
            Hourly(minute) => (minute..DAY).step_by(60).collect(),
            Daily(hour, minute) => vec![hour * 60 + minute],
            Weekly(weekday, hour, minute) if date.weekday() == weekday => vec![hour * 60 + minute],
            OnDemand(times) => (0..times).map(|_| random.u32(0..DAY)).collect(),
            Weekly(..) | Startup => Vec::new(),
        }
    }

    /// As `runwisp.toml` writes it; `None` where cron has no part in it.
    pub(super) fn cron(self) -> Option<String> {
        match self {
            Every(step) if step < 60 => Some(format!("*/{step} * * * *")),
            Every(step) => Some(format!("0 */{} * * *", step / 60)),
            Hourly(minute) => Some(format!("{minute} * * * *")),
            Daily(hour, minute) => Some(format!("{minute} {hour} * * *")),
            Weekly(weekday, hour, minute) => Some(format!("{minute} {hour} * * {}", weekday.num_days_from_sunday())),
            OnDemand(_) | Startup => None,
        }
    }
}

const REGIONS: [&str; 3] = ["eu-north", "eu-south", "us-east"];
const TENANTS: [&str; 5] = ["Müller & Söhne", "Łódzkie Meble", "株式会社さくら家具", "Ateliers Brûlé", "Όμορφο Σπίτι"];
const CUSTOMERS: [&str; 9] = [
    "Zoë Brontë",
    "Jürgen \"Jogi\" Weiß",
    "Ngũgĩ Kamau",
    "山田花子",
    "Siobhán O'Neill",
    "Željko Đurić",
    "علي حسن",
    "Anna Svensson",
    "José Peña 🛋️",
];
const FORMATS: [&str; 2] = ["json", "csv"];

impl Parameters {
    /// Their names, as the catalogue declares them.
    pub(super) fn names(self) -> &'static [&'static str] {
        match self {
            Nothing => &[],
            EachRegion => &["region", "date"],
            EachTenant => &["tenant", "date"],
            Order => &["order", "customer"],
            Export => &["customer", "format"],
        }
    }

    /// The parameters of each run that is asked for at once.
    pub(super) fn values(self, date: NaiveDate, random: &mut Rng) -> Vec<Option<String>> {
        // The night's work is about the day before.
        let day = (date - Days::new(1)).to_string();
        let mut pick = |of: &'static [&'static str]| of[random.usize(..of.len())];
        let values = match self {
            Nothing => return vec![None],
            EachRegion => REGIONS.map(|region| json!({"region": region, "date": day})).to_vec(),
            EachTenant => TENANTS.map(|tenant| json!({"tenant": tenant, "date": day})).to_vec(),
            Export => vec![json!({"customer": pick(&CUSTOMERS), "format": pick(&FORMATS)})],
            Order => {
                let customer = pick(&CUSTOMERS);
                vec![json!({"order": random.u32(480_000..520_000).to_string(), "customer": customer})]
            }
        };
        values.into_iter().map(|value| Some(value.to_string())).collect()
    }
}
