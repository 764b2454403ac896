//! The few requests around a run, on a blocking connection of their own.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::die;
use crate::frames;
use crate::plan::Plan;
use crate::wire::{In, Out};

/// A blocking connection.
pub struct Control {
    stream: TcpStream,
}

impl Control {
    /// Connects, trying again until `patience` is over: brokers take their time to start.
    pub fn connect(port: u16, patience: Duration) -> Control {
        let start = Instant::now();
        loop {
            match TcpStream::connect(("127.0.0.1", port)) {
                Ok(stream) => {
                    if stream.set_nodelay(true).is_err() {
                        die("cannot set TCP_NODELAY");
                    }
                    return Control { stream };
                }
                Err(error) if start.elapsed() > patience => die(&format!("port {port}: {error}")),
                Err(_) => std::thread::sleep(Duration::from_millis(5)),
            }
        }
    }

    /// Sends one request and answers the body behind the response header.
    fn ask(&mut self, frame: &[u8], header_tags: bool) -> Vec<u8> {
        let mut exchange = || -> std::io::Result<Vec<u8>> {
            self.stream.write_all(frame)?;
            let mut prefix = [0; 4];
            self.stream.read_exact(&mut prefix)?;
            let mut body = vec![0; i32::from_be_bytes(prefix) as usize];
            self.stream.read_exact(&mut body)?;
            Ok(body)
        };
        match exchange() {
            Ok(body) => body[if header_tags { 5 } else { 4 }..].to_vec(),
            Err(error) => die(&format!("control connection: {error}")),
        }
    }

    /// Asks for the API versions and checks that the ones used here are among them.
    pub fn api_versions(&mut self) {
        let mut body = Out::default();
        body.compact("perf").compact("1").tags();
        let answer = self.ask(&frames::request(18, 3, &body), false);
        let mut input = In::new(&answer);
        let mut read = || -> Option<bool> {
            let mut found = 0;
            let error = input.i16()?;
            for _ in 0..input.array()? {
                let (key, min, max) = (input.i16()?, input.i16()?, input.i16()?);
                input.tags()?;
                let wanted = match key {
                    0 => frames::PRODUCE_VERSION,
                    1 => frames::FETCH_VERSION,
                    _ => continue,
                };
                found += i32::from(min <= wanted && wanted <= max);
            }
            Some(error == 0 && found == 2)
        };
        if read() != Some(true) {
            die("the broker lacks the versions of Produce and Fetch that are sent here");
        }
    }

    /// Creates the topic; a topic that exists is kept.
    pub fn create_topic(&mut self, topic: &str, partitions: i32, config: &[(&str, &str)]) {
        let mut body = Out::default();
        body.array(1).compact(topic).i32(partitions).i16(1).array(0).array(config.len());
        for (key, value) in config {
            body.compact(key).compact(value).tags();
        }
        body.tags();
        body.i32(30_000).i8(0).tags();
        let answer = self.ask(&frames::request(19, 5, &body), true);
        let mut input = In::new(&answer);
        let mut read = || -> Option<i16> {
            input.i32()?;
            input.array()?;
            input.compact()?;
            input.i16()
        };
        match read() {
            Some(0 | 36) => {}
            code => die(&format!("CreateTopics {topic}: error {code:?}")),
        }
    }

    /// Deletes the topic.
    pub fn delete_topic(&mut self, topic: &str) {
        let mut body = Out::default();
        body.array(1).compact(topic).i32(30_000).tags();
        let answer = self.ask(&frames::request(20, 5, &body), true);
        let mut input = In::new(&answer);
        let mut read = || -> Option<i16> {
            input.i32()?;
            input.array()?;
            input.compact()?;
            input.i16()
        };
        match read() {
            Some(0 | 3) => {}
            code => die(&format!("DeleteTopics {topic}: error {code:?}")),
        }
    }

    /// Asks for metadata until every partition has a leader.
    pub fn wait_for_leaders(&mut self, topic: &str, partitions: i32) {
        let start = Instant::now();
        let mut body = Out::default();
        body.array(1).compact(topic).tags().i8(0).i8(0).i8(0).tags();
        let frame = frames::request(3, 9, &body);
        while leaders(&self.ask(&frame, true)) != Some(partitions) {
            if start.elapsed() > Duration::from_secs(30) {
                die(&format!("{topic}: not every partition got a leader"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until every partition serves: metadata can name a leader before the leader knows.
    pub fn wait_for_partitions(&mut self, topic: &str, partitions: i32) {
        let start = Instant::now();
        for partition in 0..partitions {
            while self.list_end_offset(topic, partition).is_none_or(|(error, _)| error != 0) {
                if start.elapsed() > Duration::from_secs(30) {
                    die(&format!("{topic}-{partition} does not serve"));
                }
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }

    /// The log end offset of a partition.
    pub fn log_end_offset(&mut self, topic: &str, partition: i32) -> i64 {
        match self.list_end_offset(topic, partition) {
            Some((0, offset)) => offset,
            other => die(&format!("ListOffsets {topic}-{partition}: {other:?}")),
        }
    }

    fn list_end_offset(&mut self, topic: &str, partition: i32) -> Option<(i16, i64)> {
        let mut body = Out::default();
        body.i32(-1).i8(0).array(1).compact(topic).array(1).i32(partition).i32(-1).i64(-1);
        body.tags().tags().tags();
        let answer = self.ask(&frames::request(2, 6, &body), true);
        let mut input = In::new(&answer);
        let mut read = || -> Option<(i16, i64)> {
            input.i32()?;
            input.array()?;
            input.compact()?;
            input.array()?;
            input.i32()?;
            let error = input.i16()?;
            input.i64()?;
            Some((error, input.i64()?))
        };
        read()
    }
}

/// Partitions that have a leader, in a Metadata response of version 9.
fn leaders(answer: &[u8]) -> Option<i32> {
    let mut input = In::new(answer);
    input.i32()?;
    for _ in 0..input.array()? {
        input.i32()?;
        input.compact()?;
        input.i32()?;
        input.compact()?;
        input.tags()?;
    }
    input.compact()?;
    input.i32()?;
    let mut count = 0;
    for _ in 0..input.array()? {
        let _error = input.i16()?;
        input.compact()?;
        input.i8()?;
        for _ in 0..input.array()? {
            let error = input.i16()?;
            input.i32()?;
            let leader = input.i32()?;
            count += i32::from(error == 0 && leader >= 0);
            input.i32()?;
            for _ in 0..3 {
                let replicas = input.array()?;
                input.take(replicas * 4)?;
            }
            input.tags()?;
        }
        input.i32()?;
        input.tags()?;
    }
    Some(count)
}

/// The log end offset of every partition of the plan. The floors don't answer ListOffsets: there,
/// one fetch tells.
pub fn log_end_offsets(port: u16, plan: &Plan) -> Vec<i64> {
    let mut control = Control::connect(port, Duration::from_secs(10));
    (0..plan.partitions)
        .map(|partition| match plan.topic.as_str() {
            "floor" => 1_000 * i64::from(plan.batch.records),
            topic => control.log_end_offset(topic, partition),
        })
        .collect()
}
