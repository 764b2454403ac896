//! Metrics as OpenTelemetry writes them (`MetricsData` of opentelemetry-proto, `metrics/v1`), as far as clients of Kafka use it:
//! gauges, and sums that only grow. Histograms and summaries are passed over, as no client sends any.

use std::fmt;

use crate::metrics::{PushedKind, PushedMetric};

/// The bytes are not what they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("pushed metrics are not a MetricsData message of OpenTelemetry")
    }
}

impl std::error::Error for Malformed {}

/// `AGGREGATION_TEMPORALITY_DELTA`
const DELTA: u64 = 1;

/// Reads `MetricsData`.
pub fn decode(bytes: &[u8]) -> Result<Vec<PushedMetric>, Malformed> {
    let mut metrics = Vec::new();
    // resource_metrics = 1, in it scope_metrics = 2, in it metrics = 2.
    for resource in messages(bytes, 1)? {
        for scope in messages(resource, 2)? {
            for bytes in messages(scope, 2)? {
                metrics.extend(metric(bytes)?);
            }
        }
    }
    Ok(metrics)
}

/// `Metric`: name = 1, gauge = 5, sum = 7.
fn metric(bytes: &[u8]) -> Result<Option<PushedMetric>, Malformed> {
    let (mut name, mut found) = (String::new(), None);
    let mut fields = Fields(bytes);
    while let Some((number, value)) = fields.next()? {
        match (number, value) {
            (1, Value::Bytes(text)) => name = string(text)?,
            (5, Value::Bytes(gauge)) => found = Some((PushedKind::Gauge, points(gauge)?)),
            (7, Value::Bytes(sum)) => found = Some((kind_of_sum(sum)?, points(sum)?)),
            _ => {}
        }
    }
    Ok(found.map(|(kind, points)| PushedMetric { name, kind, points }))
}

/// `Sum`: aggregation_temporality = 2, is_monotonic = 3.
fn kind_of_sum(bytes: &[u8]) -> Result<PushedKind, Malformed> {
    let (mut delta, mut monotonic) = (false, false);
    let mut fields = Fields(bytes);
    while let Some((number, value)) = fields.next()? {
        match (number, value) {
            (2, Value::Number(temporality)) => delta = temporality == DELTA,
            (3, Value::Number(is)) => monotonic = is != 0,
            _ => {}
        }
    }
    Ok(match (monotonic, delta) {
        (true, true) => PushedKind::Delta,
        (true, false) => PushedKind::Total,
        (false, _) => PushedKind::Gauge,
    })
}

/// Attributes of a value.
type Attributes = Vec<(String, String)>;

/// `data_points = 1` of a gauge or a sum.
fn points(bytes: &[u8]) -> Result<Vec<(Attributes, f64)>, Malformed> {
    let found = messages(bytes, 1)?.into_iter().map(point).collect::<Result<Vec<_>, _>>()?;
    Ok(found.into_iter().flatten().collect())
}

/// `NumberDataPoint`: as_double = 4, as_int = 6, attributes = 7. One without a value says nothing.
fn point(bytes: &[u8]) -> Result<Option<(Attributes, f64)>, Malformed> {
    let (mut attributes, mut found) = (Vec::new(), None);
    let mut fields = Fields(bytes);
    while let Some((number, value)) = fields.next()? {
        match (number, value) {
            (4, Value::Fixed64(bits)) => found = Some(f64::from_bits(bits)),
            (6, Value::Fixed64(bits)) => found = Some(bits as i64 as f64),
            (7, Value::Bytes(pair)) => attributes.push(attribute(pair)?),
            _ => {}
        }
    }
    Ok(found.filter(|value| value.is_finite()).map(|value| (attributes, value)))
}

/// `KeyValue`: key = 1, value = 2, an `AnyValue`: string = 1, bool = 2, int = 3, double = 4.
fn attribute(bytes: &[u8]) -> Result<(String, String), Malformed> {
    let (mut name, mut text) = (String::new(), String::new());
    let mut fields = Fields(bytes);
    while let Some((number, value)) = fields.next()? {
        match (number, value) {
            (1, Value::Bytes(key)) => name = string(key)?,
            (2, Value::Bytes(any)) => {
                let mut any = Fields(any);
                while let Some((kind, value)) = any.next()? {
                    text = match (kind, value) {
                        (1, Value::Bytes(value)) => string(value)?,
                        (2, Value::Number(is)) => (is != 0).to_string(),
                        (3, Value::Number(value)) => (value as i64).to_string(),
                        (4, Value::Fixed64(bits)) => f64::from_bits(bits).to_string(),
                        _ => continue,
                    };
                }
            }
            _ => {}
        }
    }
    Ok((name, text))
}

fn string(bytes: &[u8]) -> Result<String, Malformed> {
    std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| Malformed)
}

/// The embedded messages with this number.
fn messages(bytes: &[u8], wanted: u64) -> Result<Vec<&[u8]>, Malformed> {
    let mut found = Vec::new();
    let mut fields = Fields(bytes);
    while let Some((number, value)) = fields.next()? {
        if let Value::Bytes(bytes) = value
            && number == wanted
        {
            found.push(bytes);
        }
    }
    Ok(found)
}

/// A value as protobuf's wire format tells it.
enum Value<'a> {
    Number(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    Fixed32,
}

/// The fields of a message that are left.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn next(&mut self) -> Result<Option<(u64, Value<'a>)>, Malformed> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let value = match tag & 7 {
            0 => Value::Number(self.varint()?),
            1 => Value::Fixed64(u64::from_le_bytes(self.take(8)?.try_into().map_err(|_| Malformed)?)),
            2 => {
                let len = usize::try_from(self.varint()?).map_err(|_| Malformed)?;
                Value::Bytes(self.take(len)?)
            }
            5 => self.take(4).map(|_| Value::Fixed32)?,
            _ => return Err(Malformed),
        };
        Ok(Some((tag >> 3, value)))
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or(Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    fn varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?[0];
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Malformed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
        let mut field = vec![number << 3 | 2, u8::try_from(bytes.len()).expect("a short one")];
        field.extend_from_slice(bytes);
        field
    }

    /// A sum of one value with one attribute.
    fn pushed() -> Vec<u8> {
        let attribute = [field(1, b"node.id"), field(2, &field(1, b"n1"))].concat();
        let point = [field(7, &attribute), [&[6 << 3 | 1][..], &7_i64.to_le_bytes()].concat()].concat();
        let sum = [field(1, &point), vec![2 << 3, 1, 3 << 3, 1]].concat();
        let metric = [field(1, b"org.apache.kafka.x.total"), field(7, &sum)].concat();
        field(1, &[field(1, b""), field(2, &field(2, &metric))].concat())
    }

    #[test]
    fn a_sum_is_read_with_its_attributes() {
        let wanted = PushedMetric {
            name: "org.apache.kafka.x.total".into(),
            kind: PushedKind::Delta,
            points: vec![(vec![("node.id".into(), "n1".into())], 7.0)],
        };
        assert_eq!(decode(&pushed()), Ok(vec![wanted]));
        assert_eq!(decode(b""), Ok(Vec::new()));
    }

    #[test]
    fn what_is_cut_off_is_refused() {
        let whole = pushed();
        for len in 1..whole.len() {
            assert_eq!(decode(&whole[..len]), Err(Malformed), "{len}");
        }
        assert_eq!(decode(&[0xff; 20]), Err(Malformed));
    }
}
