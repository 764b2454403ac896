//! The brokers that the bench starts for itself: they serve, die, come back, and leave nothing behind.

use std::time::Duration;

use millrace::bench::faults::{self, Injector};
use millrace::bench::probe::{CostMeter, cost_between};
use millrace::bench::target::{Kind, Target, fairness};
use millrace::bench::workload::Settings;

use crate::support::bench::options;

const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn own_broker_serves_dies_comes_back_and_is_gone() {
    let mut target = Target::millrace("millrace", &options(&[("num.partitions", "3")])).expect("it starts");
    let (pid, data) = (target.pid(), target.data_dir().expect("it is ours"));
    let mut meter = CostMeter::new(pid);
    let first = meter.sample(pid, target.http());
    assert!(first.process.resident_bytes > 0 && !first.scraped.counters.is_empty());
    let system = target.describe();
    assert_eq!((system.name.as_str(), system.version.as_str()), ("millrace", env!("CARGO_PKG_VERSION")));
    assert!(system.acknowledgement["all"].contains("power cut") && system.command.contains("server --config"));

    target.kill();
    assert!(target.pid().is_none() && target.has_ended() && target.check_alive().is_ok());
    target.start().and_then(|()| target.wait_until_ready(PATIENCE)).expect("it comes back on its data");
    assert_ne!(target.pid(), pid);
    target.ask_to_end().expect("it hears");
    while !target.has_ended() {
        target.check_alive().expect("it was asked to end");
        std::thread::yield_now();
    }
    target.start().and_then(|()| target.wait_until_ready(PATIENCE)).expect("it comes back again");
    // The ledger looks at one round in eight: enough rounds for every stage to be seen.
    for _ in 0..50 {
        target.describe();
    }
    let last = meter.sample(target.pid(), target.http());
    let cost = cost_between(&first, &last, 0, 0);
    let stage = |name: &str| cost.stages.iter().find(|(stage, _)| stage == name).map_or(0.0, |(_, seconds)| *seconds);
    assert!(cost.cpu_s > 0.0 && stage("decode") > 0.0 && stage("respond") > 0.0, "{cost:?}");
    let explained: f64 = cost.stages.iter().map(|(_, seconds)| seconds).sum();
    assert!((explained - cost.cpu_s).abs() < 1e-6, "{cost:?}");
    let home = data.parent().expect("data is in its home").to_owned();
    target.stop();
    assert!(!home.exists());
}

#[test]
fn own_broker_that_refuses_its_settings_says_why() {
    let error = Target::millrace("millrace", &options(&[("num.partitions", "many")])).expect_err("that is no number");
    assert!(error.to_string().contains("num.partitions") && error.to_string().contains("its log ends with"), "{error}");
}

#[test]
fn an_address_is_known_for_what_it_is() {
    let own = Target::millrace("one", &options(&[("acks.all.durability", "memory")])).expect("it starts");
    let servers = own.bootstrap_servers().to_vec();
    let other = Target::address("other", servers, Settings::new()).expect("it answers");
    assert_eq!((other.kind(), other.pid()), (Kind::Address, None));
    let system = other.describe();
    assert!(system.version.contains("a Millrace"), "{}", system.version);
    assert!(system.acknowledgement["all"].contains("not a power cut"));
    let rows = fairness(&[&own, &other]);
    let row = |what: &str| rows.iter().find(|row| row.what == what).expect("every manifest has it");
    assert_eq!(row("flush policy").values["one"], row("flush policy").values["other"]);
    assert!(rows.iter().all(|row| row.what != "num.partitions"), "one broker does not differ from itself");

    let nobody = vec![format!("127.0.0.1:{}", millrace::bench::target::free_port().expect("a free port"))];
    assert!(Target::address("nobody", nobody, Settings::new()).is_err());
}

#[test]
fn faults_strike_and_the_broker_comes_back() {
    let mut target = Target::millrace("millrace", &options(&[])).expect("it starts");
    let faults = faults::parse("kill9@1s,stall@2s:1s,restart@4s:1s").expect("a list of faults");
    faults::check(&faults, &target, Duration::from_secs(10)).expect("it is ours and the run is long enough");
    assert!(faults::check(&faults, &target, Duration::from_secs(3)).is_err());
    let mut injector = Injector::new(faults);
    let pid = target.pid();
    let mut poll = |seconds: f64, target: &mut Target| {
        let at = Duration::from_secs_f64(seconds);
        injector.poll(at, target).expect("the broker is ours");
        (injector.next_due(at).map(|due| due.as_secs_f64()), injector.is_at_work())
    };
    assert_eq!(poll(0.5, &mut target), (Some(1.0), false));
    assert_eq!(poll(1.0, &mut target), (Some(2.0), false));
    assert!(target.pid().is_some() && target.pid() != pid);
    target.wait_until_ready(PATIENCE).expect("it comes back from kill -9");
    assert_eq!(poll(2.0, &mut target), (Some(3.0), true));
    let stat = format!("/proc/{}/stat", target.pid().expect("it runs"));
    while !std::fs::read_to_string(&stat).expect("it runs").contains(") T ") {
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(poll(3.0, &mut target), (Some(4.0), false));
    poll(4.0, &mut target);
    let mut at = 4.0;
    while poll(at, &mut target).1 {
        at += 0.005;
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(at > 4.99, "it was to stay away for a second");
    target.wait_until_ready(PATIENCE).expect("it comes back from its restart");
    target.check_alive().expect("it lives");
    assert_eq!(poll(at, &mut target), (None, false));
    let struck: Vec<String> = injector.results(&[]).into_iter().map(|result| result.fault).collect();
    assert_eq!(struck, ["kill9@1s", "stall@2s", "restart@4s:1s"]);
}
