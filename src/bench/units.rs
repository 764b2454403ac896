//! Numbers as people read and write them: `812 k`, `1.24 ms`, and back from `812k`, `1.24ms`.

use std::time::Duration;

/// Three significant digits, no exponent: `0.0123`, `1.24`, `98.1`, `1234`.
pub fn digits(value: f64) -> String {
    if !value.is_finite() {
        return "-".to_owned();
    }
    if value == 0.0 {
        return "0".to_owned();
    }
    // Rounding first, so that 9.996 becomes 10.0 and not 10.00.
    let magnitude = value.abs().log10().floor();
    let step = 10f64.powf(magnitude - 2.0);
    let rounded = if value.abs() >= 1000.0 { value.round() } else { (value / step).round() * step };
    let magnitude = rounded.abs().log10().floor();
    let decimals = (2.0 - magnitude).clamp(0.0, 6.0) as usize;
    format!("{rounded:.decimals$}")
}

/// A rate or a count: `950`, `81.2 k`, `1.24 M`, `3.10 G`.
pub fn count(value: f64) -> String {
    match value.abs() {
        size if size >= 999.5e6 => format!("{} G", digits(value / 1e9)),
        size if size >= 999.5e3 => format!("{} M", digits(value / 1e6)),
        size if size >= 9_999.5 => format!("{} k", digits(value / 1e3)),
        _ if value.fract() == 0.0 => format!("{value}"),
        _ => digits(value),
    }
}

/// A time given in milliseconds: `812 us`, `1.24 ms`, `3.10 s`.
pub fn time(ms: f64) -> String {
    match ms.abs() {
        0.0 => "0".to_owned(),
        size if size < 0.9995 => format!("{} us", digits(ms * 1e3)),
        size if size < 999.5 => format!("{} ms", digits(ms)),
        _ => format!("{} s", digits(ms / 1e3)),
    }
}

/// Bytes: `512 B`, `64.0 KiB`, `1.50 GiB`.
pub fn bytes(value: f64) -> String {
    let mut value = value;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if value.abs() < 1023.5 {
            return format!("{} {unit}", digits(value));
        }
        value /= 1024.0;
    }
    format!("{} TiB", digits(value))
}

/// Splits `1.5ms` or `10 k` into number and unit.
pub fn split(text: &str) -> Option<(f64, &str)> {
    let text = text.trim();
    let end = text
        .char_indices()
        .find(|(index, c)| {
            let is_exponent = matches!(c, 'e' | 'E')
                && text[index + 1..].starts_with(|next: char| next.is_ascii_digit() || next == '-' || next == '+');
            let is_number = c.is_ascii_digit() || matches!(c, '.' | '_' | '-' | '+') || is_exponent;
            !is_number
        })
        .map_or(text.len(), |(index, _)| index);
    let number: f64 = text[..end].replace('_', "").parse().ok()?;
    number.is_finite().then_some((number, text[end..].trim()))
}

/// A time in milliseconds, from `500us`, `5ms`, `1.5 s`; a bare number is milliseconds, as latencies are.
pub fn parse_time(text: &str) -> Option<f64> {
    parse_time_in(text, "ms")
}

/// How long something lasts, from `500ms`, `30s`, `5m`, `2h`; a bare number is seconds, as runs are. `None` of negative ones, too.
pub fn parse_duration(text: &str) -> Option<Duration> {
    Duration::try_from_secs_f64(parse_time_in(text, "s")? / 1e3).ok()
}

fn parse_time_in(text: &str, bare: &str) -> Option<f64> {
    let (number, unit) = split(text)?;
    let factor = match if unit.is_empty() { bare } else { unit } {
        "ns" => 1e-6,
        "us" | "µs" => 1e-3,
        "ms" => 1.0,
        "s" => 1e3,
        "m" | "min" => 60e3,
        "h" => 3600e3,
        _ => return None,
    };
    Some(number * factor)
}

/// Bytes from `512MiB`, `10GB`, `1000`; at least one.
pub fn parse_bytes(text: &str) -> Option<u64> {
    let (number, unit) = split(text)?;
    let factor = match unit {
        "" | "B" => 1.0,
        "kB" | "KB" => 1e3,
        "MB" => 1e6,
        "GB" => 1e9,
        "KiB" => 1024.0,
        "MiB" => 1024.0 * 1024.0,
        "GiB" => 1024.0 * 1024.0 * 1024.0,
        _ => return None,
    };
    Some(number * factor).filter(|bytes| (1.0..1e18).contains(bytes)).map(|bytes| bytes as u64)
}

/// A count or a rate, from `950`, `10k`, `1.5M`, `200000/s`.
pub fn parse_count(text: &str) -> Option<f64> {
    let (number, unit) = split(text)?;
    let unit = unit.trim_end_matches("/s").trim();
    let factor = match unit {
        "" => 1.0,
        "k" | "K" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        _ => return None,
    };
    Some(number * factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits() {
        for (value, text) in
            [(0.0, "0"), (0.012_34, "0.0123"), (1.236, "1.24"), (9.996, "10.0"), (98.14, "98.1"), (1234.4, "1234")]
        {
            assert_eq!(digits(value), text);
        }
        assert_eq!(digits(f64::NAN), "-");
    }

    #[test]
    fn units_fit_the_size() {
        assert_eq!(
            [count(37.0), count(81_234.0), count(1_236_000.0), count(999_700.0)],
            ["37", "81.2 k", "1.24 M", "1.00 M"]
        );
        assert_eq!([time(0.812), time(1.236), time(3_100.0), time(0.0)], ["812 us", "1.24 ms", "3.10 s", "0"]);
        assert_eq!([bytes(512.0), bytes(65_536.0), bytes(1.5e9)], ["512 B", "64.0 KiB", "1.40 GiB"]);
    }

    #[test]
    fn units_read_back() {
        assert_eq!(parse_time("500us"), Some(0.5));
        assert_eq!(parse_time(" 1.5 s"), Some(1500.0));
        assert_eq!(parse_time("5"), Some(5.0));
        assert_eq!(parse_time("5 MB"), None);
        assert_eq!(parse_duration("5m"), Some(Duration::from_secs(300)));
        assert_eq!(parse_duration("1.5"), Some(Duration::from_millis(1500)));
        assert_eq!(parse_duration("2h"), Some(Duration::from_secs(7200)));
        assert_eq!((parse_duration("-1s"), parse_duration("soon"), parse_duration("1e300h")), (None, None, None));
        assert_eq!(parse_bytes("1.5MiB"), Some(1_572_864));
        assert_eq!((parse_bytes("0"), parse_bytes("7 apples")), (None, None));
        assert_eq!(parse_count("10k"), Some(10_000.0));
        assert_eq!(parse_count("1.5M/s"), Some(1_500_000.0));
        assert_eq!(parse_count("1e6"), Some(1_000_000.0));
        assert_eq!(parse_count("200_000/s"), Some(200_000.0));
        assert_eq!(parse_count("fast"), None);
    }
}
