//! The Debian package: made as `deploy/deb.sh` makes it, installed, started, upgraded, removed and purged in a Debian that runs systemd.

#[path = "../support/mod.rs"]
mod support;

mod deb;
mod machine;

use std::fs;
use std::process::Command;

use deb::{NEXT, PACKAGE, said};
use machine::{LIMIT, Machine};
use support::install::run;
use support::wait::wait_for;

const PROPERTIES: &str = "/etc/millrace/server.properties";

/// Produces these records to `first` and waits until they are on the device.
fn produce(machine: &Machine, first: u32, last: u32) {
    machine.run(&format!(
        "seq {first} {last} | millrace kafka-console-producer --bootstrap-server 127.0.0.1:9092 --topic first \
         --producer-property acks=all"
    ));
}

/// `first` has the numbers up to this one, each once and in their order.
fn has(machine: &Machine, last: u32) {
    let read = machine.run(&format!(
        "millrace kafka-console-consumer --bootstrap-server 127.0.0.1:9092 --topic first --from-beginning \
         --max-messages {last} --timeout-ms 60000 2> /dev/null"
    ));
    let expected: Vec<String> = (1..=last).map(|number| number.to_string()).collect();
    assert_eq!(read.lines().collect::<Vec<_>>(), expected, "{}", machine.journal());
}

/// The broker's process, once it is another than `before` and serves.
fn served_by_another_than(machine: &Machine, before: &str) -> String {
    wait_for("another process that serves", LIMIT, || {
        let process = machine.property("MainPID");
        let serves = machine.property("ActiveState") == "active" && machine.property("SubState") == "running";
        (serves && process != before).then_some(process)
    })
}

#[test]
fn the_package_keeps_to_debians_rules() {
    let tags = Command::new("lintian").args(["--fail-on", "error,warning"]).arg(&*PACKAGE).output();
    let tags = tags.expect("lintian is installed");
    let found = String::from_utf8_lossy(&tags.stdout);
    assert!(tags.status.success(), "lintian: {found}{}", String::from_utf8_lossy(&tags.stderr));

    let scratch = tempfile::tempdir().expect("a directory");
    let tree = scratch.path();
    said(Command::new("dpkg-deb").arg("--raw-extract").arg(&*PACKAGE).arg(tree));
    let conffiles = fs::read_to_string(tree.join("DEBIAN/conffiles")).expect("it has some");
    assert_eq!(conffiles.trim(), PROPERTIES);
    for path in
        ["usr/bin/millrace", "usr/lib/systemd/system/millrace.service", "usr/share/doc/millrace/docs/operate.md"]
    {
        assert!(tree.join(path).is_file(), "{path}");
    }

    let mut pages = 0;
    for page in fs::read_dir(tree.join("usr/share/man/man1")).expect("it has man pages").flatten() {
        let checked = run(Command::new("mandoc").args(["-T", "lint", "-W", "error"]).arg(page.path()));
        assert!(checked.is_ok(), "{checked:?}");
        pages += 1;
    }
    assert!(pages > millrace::cli::COMMANDS.len(), "a page for each command");

    let completions = tree.join("usr/share/bash-completion/completions/millrace");
    let script = "set -e; source \"$0\"; complete -p millrace; COMP_WORDS=(millrace kafka-top); COMP_CWORD=1; \
                  _millrace millrace kafka-top millrace; echo \"offers ${COMPREPLY[*]}\"";
    let completed = said(Command::new("bash").args(["--norc", "-c", script]).arg(&completions));
    assert!(completed.contains("offers kafka-topics\n"), "{completed}");
}

#[test]
fn a_service_is_installed_upgraded_removed_and_purged() {
    let machine = Machine::boot();
    installed(&machine);
    machine.run("systemctl enable --now millrace");
    serves_as_its_unit_says(&machine);
    produce(&machine, 1, 1000);
    has(&machine, 1000);
    comes_back(&machine);
    upgraded(&machine);
    has(&machine, 2000);

    machine.run("apt-get remove -y millrace");
    let (gone, left) = machine.try_run("command -v millrace; systemctl is-active millrace; ls /var/lib/millrace/data");
    assert_eq!(gone, Some(0), "{left}");
    assert!(!left.contains("/millrace\n") && !left.contains("\nactive") && left.contains("first-0"), "{left}");
    assert!(machine.run(&format!("cat {PROPERTIES}")).contains("log.retention.ms=7200000"), "what is ours stays");
    machine.install(&NEXT);
    assert_eq!(machine.run("systemctl is-enabled millrace").trim(), "enabled", "as it was before");
    machine.run("systemctl start millrace");
    has(&machine, 2000);
    purged(&machine);
}

/// It is there, runs nothing yet, and belongs to whom it must.
fn installed(machine: &Machine) {
    machine.install(&PACKAGE);
    assert_eq!(machine.try_run("systemctl is-enabled millrace").1.trim(), "disabled");
    assert_eq!(machine.property("ActiveState"), "inactive");
    let user = machine.run("getent passwd millrace");
    assert!(user.trim().ends_with(":/var/lib/millrace:/usr/sbin/nologin"), "{user}");
    let owners = machine.run(&format!("stat -c '%U:%G %a %n' /var/lib/millrace {PROPERTIES} /usr/bin/millrace"));
    let expected = [
        "millrace:millrace 750 /var/lib/millrace",
        &format!("root:root 644 {PROPERTIES}"),
        "root:root 755 /usr/bin/millrace",
    ];
    assert_eq!(owners.lines().collect::<Vec<_>>(), expected);
    assert_eq!(machine.run("dpkg --verify millrace"), "", "files are as they were packed");
    assert_eq!(machine.run("systemd-analyze verify --man=no millrace.service"), "");
    // Of 100, less is safer: 92 is a unit without any hardening.
    machine.run("systemd-analyze security --no-pager --threshold=20 millrace.service");
}

fn serves_as_its_unit_says(machine: &Machine) {
    assert_eq!(machine.property("ActiveState"), "active", "a start ends when the broker is ready");
    assert!(machine.property("StatusText").starts_with("serving on PLAINTEXT://127.0.0.1:9092"));
    let process = machine.property("MainPID");
    let status = machine.run(&format!("stat -c %U /proc/{process}; cat /proc/{process}/status"));
    assert!(status.starts_with("millrace\n") && status.contains("CapEff:\t0000000000000000\n"), "{status}");
    let said = machine.journal();
    assert!(!said.contains(" WARN ") && !said.contains(" ERROR "), "a first start has nothing to complain of: {said}");
}

/// After a kill -9, after a standstill that only the watchdog sees; and a reload changes what may change.
fn comes_back(machine: &Machine) {
    // What people would wait longer for.
    machine.run(
        "mkdir -p /etc/systemd/system/millrace.service.d && \
         printf '[Service]\\nRestartSec=100ms\\nWatchdogSec=2s\\n' > /etc/systemd/system/millrace.service.d/sooner.conf && \
         systemctl daemon-reload && systemctl restart millrace",
    );
    let first = machine.property("MainPID");
    machine.run(&format!("kill -KILL {first}"));
    let second = served_by_another_than(machine, &first);
    has(machine, 1000);
    machine.run(&format!("kill -STOP {second}"));
    let third = served_by_another_than(machine, &second);
    assert!(machine.journal().contains("Watchdog timeout"), "{}", machine.journal());
    has(machine, 1000);

    machine.run(&format!("echo log.retention.ms=7200000 >> {PROPERTIES} && systemctl reload millrace"));
    wait_for("the changed key", LIMIT, || machine.journal().contains("these keys have their new values").then_some(()));
    assert_eq!(machine.property("MainPID"), third, "a reload is no restart");
}

/// The next version runs on the same data with our configuration.
fn upgraded(machine: &Machine) {
    produce(machine, 1001, 2000);
    let before = machine.property("MainPID");
    machine.install(&NEXT);
    assert!(machine.run("dpkg-query --show millrace").contains("99.0-1"));
    served_by_another_than(machine, &before);
    let ours = machine.run(&format!("cat {PROPERTIES}"));
    assert!(ours.contains("log.retention.ms=7200000") && !ours.contains("says more"), "{ours}");
    let theirs = machine.run(&format!("cat {PROPERTIES}.dpkg-dist"));
    assert!(theirs.contains("The next version says more."), "{theirs}");
}

/// A purge takes the configuration, and the data only if that was the answer to its question.
fn purged(machine: &Machine) {
    let said = machine.run("apt-get purge -y millrace");
    assert!(said.contains("the data in /var/lib/millrace and its user millrace stay"), "{said}");
    machine.run("test ! -e /etc/millrace && test -d /var/lib/millrace/data/first-0 && getent passwd millrace");
    assert_eq!(machine.run("find /etc /usr -name '*millrace*' ! -path '*.service.d*'"), "", "nothing else stays");

    machine.install(&PACKAGE);
    machine.run("systemctl start millrace");
    has(machine, 2000);
    machine
        .run("echo millrace millrace/remove-data boolean true | debconf-set-selections && apt-get purge -y millrace");
    machine.run("test ! -e /var/lib/millrace && ! getent passwd millrace && ! getent group millrace");
}

#[test]
fn what_keeps_it_from_starting_is_what_systemctl_shows() {
    let machine = Machine::boot();
    machine.install(&PACKAGE);
    machine.run(
        "mkdir -p /etc/systemd/system/millrace.service.d && \
         printf '[Service]\\nRestartSec=50ms\\n' > /etc/systemd/system/millrace.service.d/sooner.conf && systemctl daemon-reload",
    );
    let refused = |change: &str, sentence: &str| {
        machine.run(&format!("cp -p {PROPERTIES} /root/good && {change}"));
        let (code, said) = machine.try_run("systemctl start millrace");
        assert_eq!(code, Some(1), "{said}");
        // It does not try for ever.
        wait_for("systemd to give up", LIMIT, || (machine.property("ActiveState") == "failed").then_some(()));
        let (code, status) = machine.try_run("systemctl status --no-pager --full millrace");
        assert_eq!(code, Some(3), "{status}");
        assert!(status.contains(&format!("Status: \"{sentence}\"")), "{sentence}\n{status}");
        assert!(machine.journal().contains(sentence), "{sentence}\n{}", machine.journal());
        assert_eq!(machine.property("ExecMainStatus"), "1", "the broker's own exit code");
        machine.run(&format!("cp -p /root/good {PROPERTIES} && systemctl reset-failed millrace"));
    };
    refused(
        &format!("echo num.partitions=many >> {PROPERTIES}"),
        "Invalid value many for configuration num.partitions: Not a number of type INT",
    );
    refused(
        &format!("chmod 600 {PROPERTIES}"),
        &format!(
            "cannot read the configuration {PROPERTIES}: Permission denied (os error 13); let the user that the broker \
             runs as read it and enter its folders"
        ),
    );
    refused(
        &format!("sed -i s,^log.dirs=.*,log.dirs=/srv/millrace, {PROPERTIES}"),
        "/srv/millrace: Read-only file system (os error 30); name another place in log.dirs, or let the broker write there \
         (a systemd service by ReadWritePaths=)",
    );
    refused(
        "systemd-run --quiet --unit other --working-directory=/tmp --property Type=notify \
         millrace server --override millrace.http.listener=127.0.0.1:0 2>&1 && systemctl is-active other",
        "the listener PLAINTEXT://127.0.0.1:9092 cannot be bound: Address already in use (os error 98); another process \
         listens there; stop it, or choose another port in `listeners`",
    );
    machine.run("systemctl stop other && systemctl start millrace");
    produce(&machine, 1, 10);
    has(&machine, 10);
}
