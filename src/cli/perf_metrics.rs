//! Metrics at the end of Kafka's perf tools, in the form of `ToolsUtils.printMetrics`.

use super::output::{Outcome, Output};

/// A metric: `group:name:{tags}` and its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Metric {
    /// Its whole name.
    pub name: String,
    /// Its value.
    pub value: f64,
}

/// Prints them in the order of their names.
pub fn print(metrics: &[Metric], out: &mut Output) -> Outcome {
    for line in lines(metrics) {
        out.line(line)?;
    }
    Ok(())
}

fn lines(metrics: &[Metric]) -> Vec<String> {
    let mut sorted: Vec<&Metric> = metrics.iter().collect();
    sorted.sort_by(|left, right| left.name.cmp(&right.name));
    let width = sorted.iter().map(|metric| metric.name.len()).max().unwrap_or(0);
    let mut lines = vec![format!("\n{:<width$}   Value", "Metric Name")];
    lines.extend(sorted.iter().map(|metric| {
        let value = if metric.value.is_nan() { "NaN".to_owned() } else { format!("{:.3}", metric.value) };
        format!("{:<width$} : {value}", metric.name)
    }));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_stand_in_columns_by_name() {
        let metrics = [("b:long-name:{}", 1.0), ("a:x:{}", f64::NAN)];
        let metrics: Vec<Metric> = metrics.map(|(name, value)| Metric { name: name.to_owned(), value }).to_vec();
        assert_eq!(lines(&metrics), ["\nMetric Name      Value", "a:x:{}         : NaN", "b:long-name:{} : 1.000"]);
    }
}
