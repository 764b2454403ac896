//! Every client crossed with every codec: what one writes, all read, byte for byte.

use std::thread;

use crate::client::{CODECS, Client, Idempotence, Target, awkward_records};
use crate::record::Record;
use crate::support::node::{Kind, Node};
use crate::tools::create_topic;

const RECORDS: usize = 60;

/// Each client has a topic with one partition per codec.
fn target(node: &Node, writer: Client, codec: usize) -> Target {
    let partition = i32::try_from(codec).expect("there are five codecs");
    Target { bootstrap: node.bootstrap(), topic: format!("from-{}", writer.name()), partition }
}

#[test]
fn every_client_reads_what_every_client_wrote_with_every_codec() {
    let node = Node::start(Kind::under_test(), &[]);
    let records = awkward_records(RECORDS);
    for client in Client::ALL {
        create_topic(&node, &format!("from-{}", client.name()), CODECS.len());
    }
    in_parallel(|client| {
        for (index, codec) in CODECS.iter().enumerate() {
            // Both kinds of producer pass through every codec of some client.
            let idempotence =
                if (index + client as usize).is_multiple_of(2) { Idempotence::On } else { Idempotence::Off };
            client.produce(&target(&node, client, index), codec, idempotence, &client.writable(&records));
        }
    });
    in_parallel(|reader| {
        for writer in Client::ALL {
            let expected: Vec<Record> = writer.writable(&records);
            for codec in 0..CODECS.len() {
                reader.expect(&target(&node, writer, codec), &expected);
            }
        }
    });
}

#[test]
fn idempotent_producers_of_every_client_append_in_turn() {
    let node = Node::start(Kind::under_test(), &[]);
    let records = awkward_records(40);
    create_topic(&node, "idempotent", 1);
    let target = Target { bootstrap: node.bootstrap(), topic: "idempotent".into(), partition: 0 };
    let mut expected: Vec<Record> = Vec::new();
    for client in Client::ALL {
        let written = client.writable(&records);
        client.produce(&target, "none", Idempotence::On, &written);
        for mut record in written {
            record.offset = i64::try_from(expected.len()).expect("a small count");
            expected.push(record);
        }
    }
    Client::Librdkafka.expect(&target, &expected);
    Client::Java.expect(&target, &expected);
}

/// Two clients at a time: the machine may have no more cores.
fn in_parallel(step: impl Fn(Client) + Sync) {
    let step = &step;
    thread::scope(|scope| {
        let (first, second) = Client::ALL.split_at(3);
        for group in [first, second] {
            scope.spawn(move || group.iter().for_each(|client| step(*client)));
        }
    });
}
