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

/// `20261121-201500` (UTC): a time as part of a file's name.
pub fn compact(ms: i64) -> String {
    let (year, month, day) = date_of(ms.div_euclid(MS_PER_DAY));
    let seconds = ms.rem_euclid(MS_PER_DAY) / 1000;
    format!("{year:04}{month:02}{day:02}-{:02}{:02}{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// `2026-11-21T20:15:00.000Z`.
pub fn iso(ms: i64) -> String {
    let (year, month, day) = date_of(ms.div_euclid(MS_PER_DAY));
    let of_day = ms.rem_euclid(MS_PER_DAY);
    let (hour, minute, second) = (of_day / 3_600_000, of_day / 60_000 % 60, of_day / 1000 % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", of_day % 1000)
}

/// Year, month and day of a day counted from 1970-01-01.
fn date_of(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

/// Java's `SimpleDateFormat` for numbers: `y`, `M`, `d`, `H`, `m`, `s`, `S`, quoted text, and everything that is no letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DateFormat(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Field { letter: char, width: usize },
    Text(String),
}

impl DateFormat {
    /// Reads a pattern. The error is a sentence.
    pub fn new(pattern: &str) -> Result<DateFormat, String> {
        let mut pieces = Vec::new();
        let mut letters = pattern.chars().peekable();
        while let Some(letter) = letters.next() {
            match letter {
                '\'' if letters.peek() == Some(&'\'') => {
                    letters.next();
                    pieces.push(Piece::Text("'".to_owned()));
                }
                '\'' => pieces.push(Piece::Text(letters.by_ref().take_while(|letter| *letter != '\'').collect())),
                'y' | 'M' | 'd' | 'H' | 'm' | 's' | 'S' => {
                    let mut width = 1;
                    while letters.next_if_eq(&letter).is_some() {
                        width += 1;
                    }
                    pieces.push(Piece::Field { letter, width });
                }
                other if other.is_ascii_alphabetic() => {
                    return Err(format!("the letter '{other}' of the date format {pattern} is not known to this tool"));
                }
                other => pieces.push(Piece::Text(other.to_string())),
            }
        }
        Ok(DateFormat(pieces))
    }

    /// A time in milliseconds since 1970, as local time.
    pub fn text(&self, time_ms: i64) -> String {
        self.text_at(time_ms + crate::rt::clock::local_offset_s(time_ms.div_euclid(1000)) * 1000)
    }

    fn text_at(&self, local_ms: i64) -> String {
        let (year, month, day) = date_of(local_ms.div_euclid(MS_PER_DAY));
        let ms = local_ms.rem_euclid(MS_PER_DAY);
        let piece = |piece: &Piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Field { letter: 'y', width: 2 } => format!("{:02}", year % 100),
            Piece::Field { letter, width } => {
                let number = match letter {
                    'y' => year,
                    'M' => month,
                    'd' => day,
                    'H' => ms / 3_600_000,
                    'm' => ms / 60_000 % 60,
                    's' => ms / 1000 % 60,
                    _ => ms % 1000,
                };
                format!("{number:0width$}", width = *width)
            }
        };
        self.0.iter().map(piece).collect()
    }
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
    fn a_compact_time_is_the_one_that_was_read() {
        for (text, compact_text) in [
            ("2026-11-21T20:15:59.123", "20261121-201559"),
            ("1970-01-01T00:00:00.000", "19700101-000000"),
            ("2024-02-29T23:59:59.999", "20240229-235959"),
            ("2000-12-31T01:02:03.000", "20001231-010203"),
            ("2100-03-01T00:00:00.000", "21000301-000000"),
        ] {
            assert_eq!(compact(parse_datetime(text).expect("valid")), compact_text);
        }
    }

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
    fn times_are_written_as_java_writes_them() {
        let written = |pattern: &str, ms| DateFormat::new(pattern).expect("known letters").text_at(ms);
        assert_eq!(written("yyyy-MM-dd HH:mm:ss:SSS", 1_700_000_000_123), "2023-11-14 22:13:20:123");
        assert_eq!(written("d.M.yy 'at' H''m", 951_782_400_000), "29.2.00 at 0'0");
        assert_eq!(written("yyyy-MM-dd", -1), "1969-12-31");
        assert!(DateFormat::new("EEE").expect_err("no names of days").contains("'E'"));
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
