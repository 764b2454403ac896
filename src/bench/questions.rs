//! Questions that people ask of a broker, and the runs that answer each.

use super::BenchError;
use super::dimension::Dimension;

/// A question.
#[derive(Debug, PartialEq, Eq)]
pub struct Question {
    /// Its name after `--ask`.
    pub name: &'static str,
    /// The question itself.
    pub about: &'static str,
    /// What varies, in the form of `--sweep`.
    sweeps: &'static [&'static str],
    /// Whether the highest rate answers it (a closed loop), or the latency and the cost at one rate.
    pub closed_loop: bool,
}

/// All of them.
pub const QUESTIONS: &[Question] = &[
    Question { name: "acks", about: "what each acks level costs", sweeps: &["acks=0,1,all"], closed_loop: false },
    Question {
        name: "linger",
        about: "what linger.ms buys and costs",
        sweeps: &["linger.ms=0,1,5,20,100"],
        closed_loop: false,
    },
    Question {
        name: "batch",
        about: "how large batches should be",
        sweeps: &["batch.size=1024,16384,65536,262144,1048576", "linger.ms=5,50"],
        closed_loop: true,
    },
    Question {
        name: "codecs",
        about: "which codec pays for which data",
        sweeps: &["content=json,weblog,random", "compression.type=none,gzip,snappy,lz4,zstd"],
        closed_loop: false,
    },
    Question {
        name: "in-flight",
        about: "how many requests should be in flight",
        sweeps: &["acks=1,all", "max.in.flight.requests.per.connection=1,2,5"],
        closed_loop: true,
    },
    Question {
        name: "record-size",
        about: "what the size of records does",
        sweeps: &["record.size=100,1000,10000,100000"],
        closed_loop: true,
    },
    Question {
        name: "partitions",
        about: "what the number of partitions does",
        sweeps: &["partitions=1,10,100,1000,10000"],
        closed_loop: false,
    },
    Question {
        name: "connections",
        about: "what the number of producers and their connections does",
        sweeps: &["producers=1,10,100,1000,10000"],
        closed_loop: false,
    },
    Question { name: "fan-out", about: "what more readers cost", sweeps: &["consumers=0,1,2,4,8"], closed_loop: false },
];

impl Question {
    /// The question of this name.
    pub fn parse(name: &str) -> Result<&'static Question, BenchError> {
        QUESTIONS.iter().find(|question| question.name == name).ok_or_else(|| {
            let known: Vec<String> =
                QUESTIONS.iter().map(|question| format!("{} ({})", question.name, question.about)).collect();
            BenchError::config(format_args!("--ask {name}: ask one of these: {}", known.join(", ")))
        })
    }

    /// What varies.
    pub fn dimensions(&self) -> Result<Vec<Dimension>, BenchError> {
        self.sweeps.iter().map(|sweep| Dimension::parse(sweep)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_question_can_be_asked() {
        for question in QUESTIONS {
            assert_eq!(Question::parse(question.name).expect("by its name"), question);
            assert!(!question.dimensions().expect(question.name).is_empty());
        }
        let error = Question::parse("why").expect_err("no such question").to_string();
        assert!(error.contains("--ask why") && error.contains("codecs (which codec pays for which data)"), "{error}");
    }
}
