//! The tools of groups, ours and Kafka's, on the same broker: once on Apache Kafka, once on Millrace.
//!
//! There are groups with members of both protocols (where the broker has both), groups that only have offsets, and one that
//! some orders change; an order that changes something is compared with a fixed text, for it can't be given twice.

use std::fs;
use std::path::Path;
use std::process::Child;
use std::time::Duration;

use crate::cases::{Case, mask_warnings};
use crate::compare_all;
use crate::program::{millrace, spawn_java_tool, spawn_millrace};
use crate::support::node::{Kind, Node};
use crate::support::wait::wait_for;

const GROUPS: &str = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand";
const LIST: &str = "org.apache.kafka.tools.GroupsCommand";
const CONSUMER: &str = "org.apache.kafka.tools.consumer.ConsoleConsumer";
/// Longer than 24 characters: such a name is quoted in CSV, and wider than any column.
const LONG: &str = "a-topic-with-quite-a-long-name";
const LIMIT: Duration = Duration::from_secs(60);

/// A member that lives as long as this.
struct Member(Child);

impl Drop for Member {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}

fn ours(tool: &str, server: &str, args: &str, stdin: &str) -> String {
    let finished = millrace(tool, &words(&format!("--bootstrap-server {server} {args}")), stdin);
    assert_eq!(finished.code, Some(0), "{tool} {args}: {finished}");
    finished.stdout
}

fn prepare(server: &str) {
    let lines: String = (0..90).map(|number| format!("line {number}\n")).collect();
    for (topic, partitions) in [("alpha", 3), (LONG, 12)] {
        ours("kafka-topics", server, &format!("--create --topic {topic} --partitions {partitions}"), "");
        for _ in 0..3 {
            ours("kafka-console-producer", server, &format!("--topic {topic} --batch-size 10"), &lines);
        }
    }
    let read = "--from-beginning --max-messages 100";
    ours("kafka-console-consumer", server, &format!("--topic alpha --group readers {read}"), "");
    for (group, scope) in
        [("offsets-1", "--topic alpha"), ("offsets-2", "--topic alpha:1"), ("wide-group-of-long-topic-names", LONG)]
    {
        let scope = if scope == LONG { format!("--topic {LONG} --topic alpha") } else { scope.to_owned() };
        let reset = format!("--reset-offsets --group {group} {scope} --to-offset 5 --execute");
        ours("kafka-consumer-groups", server, &reset, "");
    }
}

/// Members of both protocols, if the broker has both.
fn members(server: &str) -> Vec<Member> {
    let classic = format!(
        "--bootstrap-server {server} --topic alpha --group live-classic --command-property enable.auto.commit=false"
    );
    let mut members = vec![Member(spawn_millrace("kafka-console-consumer", &words(&classic)))];
    let mut expected = vec![("live-classic", 3)];
    if ours("kafka-broker-api-versions", server, "", "").contains("ConsumerGroupHeartbeat(68): 0") {
        let new = |group: &str| {
            words(&format!(
                "--bootstrap-server {server} --include alpha|{LONG} --group {group} --command-property group.protocol=consumer --command-property enable.auto.commit=false"
            ))
        };
        members.push(Member(spawn_java_tool(CONSUMER, &new("live-consumer"))));
        // Kafka's tool gives out names that share a bucket of a hash map in the order in which the partitions' coordinators answered;
        // this name shares none.
        members.push(Member(spawn_millrace("kafka-console-consumer", &new("live-ours"))));
        expected.extend([("live-consumer", 15), ("live-ours", 15)]);
    }
    // A group may be stable before its member knows what it wants.
    wait_for("the members to have their partitions", LIMIT, || {
        let has = |(group, count): &(&str, u32)| {
            let described = ours("kafka-consumer-groups", server, &format!("--describe --members --group {group}"), "");
            described.lines().nth(2).and_then(|line| line.split_whitespace().nth(4)?.parse().ok()) == Some(*count)
        };
        expected.iter().all(has).then_some(())
    });
    members
}

fn cases(server: &str, scratch: &Path) -> Vec<Case> {
    let plan = scratch.join("plan.csv");
    fs::write(&plan, "alpha,0,7\nalpha,1,5000\n").expect("our directory is writable");
    let groups_plan = scratch.join("groups.csv");
    fs::write(&groups_plan, "offsets-1,alpha,0,7\nreaders,alpha,1,9\n").expect("our directory is writable");
    let (plan, groups_plan) = (plan.display(), groups_plan.display());
    let orders = [
        "--list --type --state".to_owned(),
        "--describe --all-groups --verbose".to_owned(),
        "--describe --all-groups --members --verbose".to_owned(),
        "--describe --all-groups --state --verbose".to_owned(),
        "--describe --group readers".to_owned(),
        "--describe --group live-classic --members".to_owned(),
        "--describe --group nobody".to_owned(),
        format!("--reset-offsets --dry-run --group readers --topic {LONG} --topic alpha:0,2 --to-latest"),
        "--reset-offsets --dry-run --group readers --all-topics --to-datetime 2020-01-01T00:00:00.000".to_owned(),
        "--reset-offsets --dry-run --group readers --all-topics --by-duration PT0S".to_owned(),
        format!("--reset-offsets --dry-run --group readers --topic {LONG} --topic alpha --to-current --export"),
        "--reset-offsets --dry-run --group readers --topic alpha --shift-by -10000".to_owned(),
        "--reset-offsets --dry-run --group readers --topic alpha:9 --to-earliest".to_owned(),
        format!("--reset-offsets --dry-run --group readers --from-file {plan}"),
        format!("--reset-offsets --dry-run --group readers --group offsets-1 --from-file {groups_plan} --export"),
        "--reset-offsets --execute --group live-classic --all-topics --to-earliest".to_owned(),
        "--reset-offsets --dry-run --all-groups --all-topics --to-earliest".to_owned(),
        "--delete --group live-classic --group nobody".to_owned(),
        "--delete-offsets --group live-classic --topic alpha --topic nothing --topic alpha:77".to_owned(),
        "--delete-offsets --group nobody --topic alpha".to_owned(),
    ];
    let case = |tool: &'static str, class: &'static str, args: &str| Case {
        tool,
        class,
        args: words(&format!("--bootstrap-server {server} {args}")),
        mask: mask_warnings,
    };
    let mut cases: Vec<Case> = orders.iter().map(|args| case("kafka-consumer-groups", GROUPS, args)).collect();
    cases.push(case("kafka-groups", LIST, "--list"));
    cases.push(case("kafka-groups", LIST, "--list --group-type classic --protocol consumer"));
    cases
}

fn same_on(kind: Kind) {
    let node = Node::start(kind, &[("group.initial.rebalance.delay.ms", "0"), ("offsets.topic.num.partitions", "5")]);
    let server = node.bootstrap();
    prepare(&server);
    let members = members(&server);
    compare_all(&cases(&server, node.scratch()));
    drop(members);
    orders_change_groups(&server);
}

/// What our tool says of orders that it carries out.
fn orders_change_groups(server: &str) {
    let groups = |args: &str| ours("kafka-consumer-groups", server, args, "");
    assert_eq!(
        groups("--reset-offsets --execute --group offsets-2 --topic alpha:1 --shift-by 3"),
        "\nGROUP           TOPIC           PARTITION  NEW-OFFSET\noffsets-2       alpha           1          8\n"
    );
    let described = groups("--describe --group offsets-2 --lag-seconds");
    let row: Vec<&str> = described.lines().last().unwrap_or_default().split_whitespace().collect();
    assert_eq!(row[..4], ["offsets-2", "alpha", "1", "8"], "{described}");
    assert!(described.contains("LAG             LAG-SECONDS     CONSUMER-ID"), "{described}");
    assert!(row[6].parse::<u64>().is_ok(), "{described}");
    assert_eq!(
        groups("--delete-offsets --group offsets-1 --topic alpha:0,2"),
        "Request succeeded for deleting offsets from group offsets-1.\n\nTOPIC           PARTITION  STATUS         \n\
         alpha           0          Successful     \nalpha           2          Successful     \n"
    );
    assert_eq!(groups("--describe --group offsets-1").matches("alpha").count(), 1);
    assert_eq!(
        groups("--delete --group offsets-2 --group nobody"),
        "\nError: Deletion of some consumer groups failed:\n* Group 'nobody' could not be deleted due to: \
         org.apache.kafka.common.errors.GroupIdNotFoundException: The group id does not exist.\n\n\
         These consumer groups were deleted successfully: 'offsets-2'\n"
    );
    assert_eq!(
        groups("--delete --group offsets-1"),
        "Deletion of requested consumer groups ('offsets-1') was successful.\n"
    );
    assert!(!groups("--list").contains("offsets-"));
}

#[test]
fn tools_of_groups_print_the_same_on_apache_kafka() {
    same_on(Kind::Apache);
}

#[test]
fn tools_of_groups_print_the_same_on_millrace() {
    same_on(Kind::Millrace);
}
