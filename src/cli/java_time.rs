//! Dates and durations as Kafka's tools read them: Java's `SimpleDateFormat` and `Duration.parse`.

use regex::Regex;

const MS_PER_DAY: i64 = 86_400_000;

/// Milliseconds since 1970 of `2026-11-21T20:15:00.000`, with `Z`, `+01`, `+01:00` or nothing (UTC) at its end. The error is
/// Java's sentence.
pub fn parse_datetime(text: &str) -> Result<i64, String> {
    let Some((_, time)) = text.split_once('T') else {
        return Err("Error parsing timestamp. It does not contain a 'T' according to ISO8601 format".to_owned());
    };
    let text = if time.contains(['+', '-', 'Z']) { text.to_owned() } else { format!("{text}Z") };
    unparsed(&text).ok_or_else(|| format!("Unparseable date: \"{text}\""))
}

fn unparsed(text: &str) -> Option<i64> {
    let pattern = r"^(\d+)-(\d+)-(\d+)T(\d+):(\d+):(\d+)\.(\d+)(?:Z|([+-])(\d\d)(?::(\d\d))?)";
    let pattern = Regex::new(pattern).expect("the pattern is a constant");
    let groups = pattern.captures(text)?;
    let number = |index| groups.get(index).map_or(Some(0), |digits| digits.as_str().parse::<i64>().ok());
    let (year, month, day) = (number(1)?, number(2)?, number(3)?);
    let (hour, minute, second, millisecond) = (number(4)?, number(5)?, number(6)?, number(7)?);
    let in_range = (1..=12).contains(&month)
        && (1..=days_of_month(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60
        && millisecond < 1000
        && year < 100_000;
    if !in_range {
        return None;
    }
    let time = ((hour * 60 + minute) * 60 + second) * 1000 + millisecond;
    let zone = (number(9)? * 60 + number(10)?) * 60_000;
    let zone = if groups.get(8).is_some_and(|sign| sign.as_str() == "-") { -zone } else { zone };
    Some(days_since_1970(year, month, day) * MS_PER_DAY + time - zone)
}

fn days_of_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 in the Gregorian calendar. Years begin in March here, so that the leap day is their last.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// Milliseconds of `P1DT2H3M4.5S`; the error is Java's sentence.
pub fn parse_duration(text: &str) -> Result<i64, String> {
    let refused = || "Text cannot be parsed to a Duration".to_owned();
    let pattern = r"(?i)^([-+]?)P(?:([-+]?[0-9]+)D)?(T(?:([-+]?[0-9]+)H)?(?:([-+]?[0-9]+)M)?(?:([-+]?[0-9]+)(?:[.,]([0-9]{0,9}))?S)?)?$";
    let pattern = Regex::new(pattern).expect("the pattern is a constant");
    let groups = pattern.captures(text).ok_or_else(refused)?;
    let part = |index| groups.get(index).map(|found| found.as_str());
    if part(3).is_some_and(|time| time.len() == 1) || [2, 4, 5, 6].iter().all(|index| part(*index).is_none()) {
        return Err(refused());
    }
    let mut total_ms: i64 = 0;
    for (index, unit_ms) in [(2, MS_PER_DAY), (4, 3_600_000), (5, 60_000), (6, 1000)] {
        let Some(digits) = part(index) else { continue };
        let number = digits.trim_start_matches('+').parse::<i64>().map_err(|_| refused())?;
        let ms = number.checked_mul(unit_ms).and_then(|ms| total_ms.checked_add(ms));
        total_ms = ms.ok_or_else(refused)?;
    }
    if let Some(fraction) = part(7) {
        let ms = format!("{fraction:0<3}")[..3].parse::<i64>().map_err(|_| refused())?;
        let is_negative = part(6).is_some_and(|seconds| seconds.starts_with('-'));
        total_ms += if is_negative { -ms } else { ms };
    }
    Ok(if part(1) == Some("-") { -total_ms } else { total_ms })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datetimes_are_read_with_and_without_a_zone() {
        assert_eq!(parse_datetime("1970-01-01T00:00:00.000"), Ok(0));
        assert_eq!(parse_datetime("2026-11-21T20:15:01.234"), Ok(1_795_292_101_234));
        assert_eq!(parse_datetime("2026-11-21T20:15:01.234Z"), Ok(1_795_292_101_234));
        assert_eq!(parse_datetime("2026-11-21T21:15:01.234+01:00"), Ok(1_795_292_101_234));
        assert_eq!(parse_datetime("2026-11-21T15:15:01.234-05"), Ok(1_795_292_101_234));
        assert_eq!(parse_datetime("2000-02-29T00:00:00.000"), Ok(951_782_400_000));
        assert_eq!(parse_datetime("1969-12-31T23:59:59.999"), Ok(-1));
    }

    #[test]
    fn bad_datetimes_are_refused_in_the_words_of_java() {
        assert!(parse_datetime("2026-11-21").is_err_and(|text| text.contains("does not contain a 'T'")));
        let unparseable = ["2026-11-21T20:15:01", "2026-02-29T00:00:00.000", "2026-11-21T25:00:00.000", "xT1"];
        for text in unparseable {
            assert_eq!(parse_datetime(text), Err(format!("Unparseable date: \"{text}Z\"")));
        }
    }

    #[test]
    fn durations_are_read() {
        assert_eq!(parse_duration("P1DT2H3M4.5S"), Ok(93_784_500));
        assert_eq!(parse_duration("PT0S"), Ok(0));
        assert_eq!(parse_duration("P7D"), Ok(604_800_000));
        assert_eq!(parse_duration("-PT1M"), Ok(-60_000));
        assert_eq!(parse_duration("PT-1.5S"), Ok(-1_500));
        for text in ["", "P", "PT", "1D", "P1DT", "P1H"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }
}
