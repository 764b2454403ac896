//! Conditions on the numbers of a run: `--slo 'p99<10ms'` must hold, `--fail-if 'p99>5ms'` must not.
//!
//! ```text
//! condition   = comparison, { "&&", comparison }          all of them
//! comparison  = metric, ( "<" | "<=" | ">" | ">=" ), value
//! fail-if     = condition, { ( "," | "||" ), condition }  any of them
//! ```
//! A promise may join its comparisons with commas, too. The metrics are those of [`super::metric`].

use std::fmt;

use super::BenchError;
use super::metric::Metric;
use super::results::Run;

/// Comparisons that are to hold together.
#[derive(Clone, Debug, PartialEq)]
pub struct Promise {
    clauses: Vec<Clause>,
}

/// One comparison.
#[derive(Clone, Debug, PartialEq)]
pub struct Clause {
    /// The number.
    pub metric: Metric,
    /// How it is compared.
    pub comparison: Comparison,
    /// With what; times in ms.
    pub limit: f64,
}

/// How a number is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// `<`
    Below,
    /// `<=`
    AtMost,
    /// `>`
    Above,
    /// `>=`
    AtLeast,
}

/// What a run says about a condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// All comparisons are true. The sentence has the numbers.
    True(String),
    /// One is not. The sentence has the numbers.
    False(String),
    /// The run has no such number.
    Unknown(String),
}

impl Promise {
    /// Reads `p99<10ms`, `p99<10ms && rate>=200k`, `p99<10ms, failed<1`.
    pub fn parse(text: &str) -> Result<Promise, BenchError> {
        let parts: Vec<&str> = text.split(',').flat_map(|part| part.split("&&")).collect();
        Ok(Promise { clauses: parts.into_iter().map(Clause::parse).collect::<Result<_, _>>()? })
    }

    /// Reads the conditions of `--fail-if`: any of them is enough to fail.
    pub fn parse_alternatives(text: &str) -> Result<Vec<Promise>, BenchError> {
        text.split(',').flat_map(|part| part.split("||")).map(Promise::parse).collect()
    }

    /// The comparisons.
    pub fn clauses(&self) -> &[Clause] {
        &self.clauses
    }

    /// Whether all comparisons are true. A number that the run does not have keeps no promise.
    pub fn holds(&self, run: &Run) -> bool {
        matches!(self.judge(run), Judgement::True(_))
    }

    /// Whether all comparisons are true, with the numbers.
    pub fn judge(&self, run: &Run) -> Judgement {
        let mut numbers = Vec::new();
        for clause in &self.clauses {
            let Some(value) = clause.metric.value(run) else {
                return Judgement::Unknown(format!("the run has no {}", clause.metric.name()));
            };
            let number = format!("{} is {}", clause.metric.name(), clause.metric.format(value));
            if !clause.comparison.holds(value, clause.limit) {
                return Judgement::False(number);
            }
            numbers.push(number);
        }
        Judgement::True(numbers.join(", "))
    }
}

impl Clause {
    fn parse(text: &str) -> Result<Clause, BenchError> {
        let wrong = |why: String| BenchError::config(format_args!("'{}' is not a condition: {why}", text.trim()));
        let position = text.find(['<', '>']).ok_or_else(|| {
            wrong("it needs '<', '<=', '>' or '>=' between a metric and a value, such as p99<10ms".to_owned())
        })?;
        let (name, rest) = text.split_at(position);
        let (comparison, value) = match (rest.strip_prefix("<="), rest.strip_prefix(">=")) {
            (Some(value), _) => (Comparison::AtMost, value),
            (_, Some(value)) => (Comparison::AtLeast, value),
            _ if rest.starts_with('<') => (Comparison::Below, &rest[1..]),
            _ => (Comparison::Above, &rest[1..]),
        };
        let metric = Metric::parse(name)
            .ok_or_else(|| wrong(format!("there is no metric '{}'; there are {}", name.trim(), Metric::known())))?;
        let limit = metric.parse_value(value).ok_or_else(|| {
            wrong(format!("'{}' is no value of {}, such as {}", value.trim(), metric.name(), example(metric)))
        })?;
        Ok(Clause { metric, comparison, limit })
    }
}

fn example(metric: Metric) -> &'static str {
    use super::metric::Unit;
    match metric.unit() {
        Unit::Time => "500us, 5ms, 1.5s",
        Unit::Count => "0, 10k, 1.5M",
        Unit::Mega => "200MB/s, 1GB/s",
        Unit::Seconds => "2s",
        Unit::Plain => "1.5",
    }
}

impl Comparison {
    fn holds(self, value: f64, limit: f64) -> bool {
        match self {
            Comparison::Below => value < limit,
            Comparison::AtMost => value <= limit,
            Comparison::Above => value > limit,
            Comparison::AtLeast => value >= limit,
        }
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Comparison::Below => "<",
            Comparison::AtMost => "<=",
            Comparison::Above => ">",
            Comparison::AtLeast => ">=",
        })
    }
}

impl fmt::Display for Promise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, clause) in self.clauses.iter().enumerate() {
            let joint = if index == 0 { "" } else { " && " };
            let value = clause.metric.format(clause.limit);
            write!(f, "{joint}{} {} {value}", clause.metric.name(), clause.comparison)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(p99: f64, records_s: f64) -> Run {
        let mut run = Run::default();
        (run.latency.count, run.latency.p99, run.rates.records_s) = (1000, p99, records_s);
        run
    }

    fn parse(text: &str) -> Promise {
        Promise::parse(text).expect("valid")
    }

    #[test]
    fn promises_hold_or_do_not() {
        let run = run(5.0, 200_000.0);
        for text in ["p99<=5ms", "p99 < 5.1", "p99>4999us", "rate>=200k", "p99<0.01s && rate > 150k/s", "p99<6,rate>1"]
        {
            assert!(parse(text).holds(&run), "{text}");
        }
        for text in ["p99<5ms", "p99<6ms && rate>200k", "p99>5ms, rate>1"] {
            assert!(!parse(text).holds(&run), "{text}");
        }
    }

    #[test]
    fn a_missing_number_keeps_no_promise_and_says_so() {
        let promise = parse("e2e.p99<5ms");
        assert!(!promise.holds(&run(1.0, 1.0)));
        assert_eq!(promise.judge(&run(1.0, 1.0)), Judgement::Unknown("the run has no e2e.p99".to_owned()));
    }

    #[test]
    fn alternatives_are_judged_one_by_one() {
        let any = Promise::parse_alternatives("p99>5ms, lost>0 || failed>0 && rate<1k").expect("valid");
        assert_eq!(any.iter().map(|it| it.clauses().len()).collect::<Vec<_>>(), [1, 1, 2]);
    }

    #[test]
    fn a_wrong_condition_is_one_sentence_with_the_mend() {
        for (text, part) in [
            ("p99", "it needs '<'"),
            ("p98<5ms", "there is no metric 'p98'; there are mean, p50"),
            ("p99<5MB", "'5MB' is no value of p99, such as 500us"),
            ("p99<", "'' is no value of p99"),
            ("", "it needs '<'"),
            ("p99<5ms &&", "it needs '<'"),
        ] {
            let error = Promise::parse(text).expect_err(text).to_string();
            assert!(error.contains(part), "{error}");
            assert!(!error.contains('\n'));
        }
    }

    #[test]
    fn a_promise_prints_as_it_reads() {
        let promise = parse("p99<10ms && rate>=200k && broker_cpu_s_per_gb<2 && e2e.p999<1s && mb_s>5GB");
        assert_eq!(parse(&promise.to_string()), promise, "{promise}");
    }
}
