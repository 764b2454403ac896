//! What a Millrace says of itself on its HTTP port.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::bench::BenchError;

/// How long the broker may take for a page.
const PATIENCE: Duration = Duration::from_secs(5);
/// Name of the counter of processor time by stage; its label `stage` is the stage's name.
const STAGE_SECONDS: &str = "millrace_stage_seconds_total";
/// Name of the counter of system calls that `/proc` does not count.
const SYSTEM_CALLS: &str = "millrace_shard_system_calls_total";

/// Name of the series whose label `backend` says what a Millrace works with.
const IO_BACKEND: &str = "millrace_io_backend_info{backend=\"";

/// Counters of a broker, all of which grow.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scraped {
    /// Processor seconds by stage, over all shards.
    pub stages: BTreeMap<String, f64>,
    /// System calls on sockets, events and the disk ring.
    pub system_calls: u64,
    /// Everything else, by name and labels as they are written; `kafka_server_*` and the like.
    pub counters: BTreeMap<String, f64>,
}

impl Scraped {
    /// Adds the counters of a process that had the place before.
    pub fn add(&mut self, other: &Scraped) {
        for (mine, theirs) in [(&mut self.stages, &other.stages), (&mut self.counters, &other.counters)] {
            for (name, value) in theirs {
                *mine.entry(name.clone()).or_default() += value;
            }
        }
        self.system_calls += other.system_calls;
    }

    /// What came since `earlier`.
    pub fn since(&self, earlier: &Scraped) -> Scraped {
        let minus = |later: &BTreeMap<String, f64>, before: &BTreeMap<String, f64>| {
            let grown = |(name, value): (&String, &f64)| {
                (name.clone(), (value - before.get(name).copied().unwrap_or(0.0)).max(0.0))
            };
            later.iter().map(grown).collect()
        };
        Scraped {
            stages: minus(&self.stages, &earlier.stages),
            system_calls: self.system_calls.saturating_sub(earlier.system_calls),
            counters: minus(&self.counters, &earlier.counters),
        }
    }

    /// The stages, largest first, and what of the process's `cpu_s` none of them explains: going to sleep and waking up, threads that
    /// are no shards. Stages are wall time; where shards had to share their cores, the stages had their share of the processor time each.
    pub fn stages_of(&self, cpu_s: f64) -> Vec<(String, f64)> {
        if self.stages.is_empty() {
            return Vec::new();
        }
        let mut stages: Vec<(String, f64)> = self.stages.clone().into_iter().collect();
        stages.sort_by(|(_, one), (_, other)| other.total_cmp(one));
        let explained: f64 = stages.iter().map(|(_, seconds)| seconds).sum();
        if cpu_s > explained {
            stages.push(("elsewhere".to_owned(), cpu_s - explained));
        } else {
            stages.iter_mut().for_each(|(_, seconds)| *seconds *= cpu_s / explained);
        }
        stages
    }
}

/// Reads `/metrics`.
pub fn scrape(http: SocketAddr) -> Result<Scraped, BenchError> {
    Ok(parse(&http_get(http, "/metrics", PATIENCE)?))
}

/// What a Millrace works with, `uring` or `epoll`, as its `/metrics` tell.
pub fn io_backend(http: SocketAddr) -> Result<Option<String>, BenchError> {
    Ok(backend_in(&http_get(http, "/metrics", PATIENCE)?).map(str::to_owned))
}

fn backend_in(page: &str) -> Option<&str> {
    page.lines().find_map(|line| line.strip_prefix(IO_BACKEND)?.split('"').next())
}

fn parse(page: &str) -> Scraped {
    let mut scraped = Scraped::default();
    for line in page.lines().filter(|line| !line.starts_with('#')) {
        let Some((series, value)) = line.rsplit_once(' ') else { continue };
        let Ok(value) = value.parse::<f64>() else { continue };
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        if name == STAGE_SECONDS {
            let stage = labels.split("stage=\"").nth(1).and_then(|rest| rest.split('"').next());
            *scraped.stages.entry(stage.unwrap_or_default().to_owned()).or_default() += value;
        } else if name == SYSTEM_CALLS {
            scraped.system_calls += value as u64;
        } else if name.ends_with("_total") {
            scraped.counters.insert(series.to_owned(), value);
        }
    }
    scraped
}

/// Gets a page by HTTP; anything but 200 is an error with the broker's sentence.
pub fn http_get(address: SocketAddr, path: &str, patience: Duration) -> Result<String, BenchError> {
    let failed = |error: &dyn std::fmt::Display| BenchError::broker(format!("http://{address}{path}: {error}"));
    let ask = || -> std::io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(patience))?;
        // HTTP/1.0: no chunks, and the connection ends with the page.
        stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").as_bytes())?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Ok(answer)
    };
    let answer = ask().map_err(|error| failed(&error))?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(|| failed(&"this is no HTTP"))?;
    let status = head.split(' ').nth(1).unwrap_or_default();
    if status == "200" { Ok(body.to_owned()) } else { Err(failed(&format_args!("{status} {}", body.trim()))) }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    const PAGE: &str = "# TYPE millrace_stage_seconds counter
millrace_stage_seconds_total{shard=\"0\",stage=\"append\"} 1.5
millrace_stage_seconds_total{shard=\"1\",stage=\"append\"} 0.5
millrace_stage_seconds_total{shard=\"1\",stage=\"send\"} 3
millrace_shard_system_calls_total{shard=\"0\"} 7
millrace_shard_system_calls_total{shard=\"1\"} 5
kafka_server_brokertopicmetrics_bytesin_total{topic=\"t\"} 100
millrace_shard_connections{shard=\"0\"} 3
# EOF
";

    #[test]
    fn the_page_tells_what_the_broker_works_with() {
        let page = "# HELP millrace_io_backend_info 1 for\nmillrace_io_backend_info{backend=\"epoll\"} 1\n";
        assert_eq!((backend_in(page), backend_in(PAGE)), (Some("epoll"), None));
    }

    #[test]
    fn shards_are_added_up_and_stages_explain_the_rest() {
        let scraped = parse(PAGE);
        assert_eq!(scraped.system_calls, 12);
        assert_eq!(scraped.counters.get("kafka_server_brokertopicmetrics_bytesin_total{topic=\"t\"}"), Some(&100.0));
        let shown = [("send".to_owned(), 3.0), ("append".to_owned(), 2.0), ("elsewhere".to_owned(), 1.0)];
        assert_eq!(scraped.stages_of(6.0), shown);
        assert_eq!(scraped.stages_of(5.0).len(), 2);
        assert_eq!(scraped.stages_of(2.5)[0], ("send".to_owned(), 1.5));
        assert!(Scraped::default().stages_of(6.0).is_empty());
    }

    #[test]
    fn what_came_since_is_counted_through_a_restart() {
        let first = parse(PAGE);
        let mut after = first.clone();
        after.add(&first);
        assert_eq!(after.since(&first), first);
    }

    #[test]
    fn a_page_or_a_sentence_comes_back() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let server = std::thread::spawn(move || {
            for answer in ["HTTP/1.0 200 OK\r\nA: b\r\n\r\nhello", "HTTP/1.1 404 Not Found\r\n\r\nno such page\n"] {
                let (mut stream, _) = listener.accept().expect("it is asked");
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    let mut byte = [0];
                    stream.read_exact(&mut byte).expect("it asks");
                    request.extend(byte);
                }
                assert!(request.starts_with(b"GET /x HTTP/1.0\r\n"));
                stream.write_all(answer.as_bytes()).expect("it reads");
            }
        });
        assert_eq!(http_get(address, "/x", PATIENCE).expect("a page"), "hello");
        let error = http_get(address, "/x", PATIENCE).expect_err("no page");
        assert!(error.to_string().ends_with("/x: 404 no such page"), "{error}");
        server.join().expect("no panic");
    }
}
