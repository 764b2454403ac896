//! Kafka's deserializers by their Java class names, as far as they end in text.

use std::fmt::Write;

/// Turns bytes into what Java would print for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deserializer {
    /// The text itself.
    String,
    /// Bytes as they are.
    ByteArray,
    /// Printable ASCII, the rest as `\x0A`.
    Bytes,
    /// 2 bytes.
    Short,
    /// 4 bytes.
    Integer,
    /// 8 bytes.
    Long,
    /// 4 bytes, IEEE 754.
    Float,
    /// 8 bytes, IEEE 754.
    Double,
    /// One byte, 0 or 1.
    Boolean,
    /// A UUID in its text form.
    Uuid,
}

impl Deserializer {
    /// The deserializer with this class name, with or without its package.
    pub fn from_class(class: &str) -> Option<Self> {
        let name = class.rsplit(['.', '$']).next().unwrap_or(class);
        Some(match name {
            "StringDeserializer" => Deserializer::String,
            "ByteArrayDeserializer" | "ByteBufferDeserializer" => Deserializer::ByteArray,
            "BytesDeserializer" => Deserializer::Bytes,
            "ShortDeserializer" => Deserializer::Short,
            "IntegerDeserializer" => Deserializer::Integer,
            "LongDeserializer" => Deserializer::Long,
            "FloatDeserializer" => Deserializer::Float,
            "DoubleDeserializer" => Deserializer::Double,
            "BooleanDeserializer" => Deserializer::Boolean,
            "UUIDDeserializer" => Deserializer::Uuid,
            _ => return None,
        })
    }

    /// The text for `bytes`, or why there is none.
    pub fn to_text(self, bytes: &[u8]) -> Result<Vec<u8>, String> {
        let text = match self {
            Deserializer::ByteArray => return Ok(bytes.to_vec()),
            Deserializer::String => String::from_utf8_lossy(bytes).into_owned(),
            Deserializer::Bytes => escaped(bytes),
            Deserializer::Short => i16::from_be_bytes(self.array(bytes)?).to_string(),
            Deserializer::Integer => i32::from_be_bytes(self.array(bytes)?).to_string(),
            Deserializer::Long => i64::from_be_bytes(self.array(bytes)?).to_string(),
            Deserializer::Float => {
                let number = f32::from_be_bytes(self.array(bytes)?);
                java_decimal(f64::from(number), format!("{number:e}"))
            }
            Deserializer::Double => java_double(f64::from_be_bytes(self.array(bytes)?)),
            Deserializer::Boolean => match bytes {
                [0] => "false".to_string(),
                [1] => "true".to_string(),
                [other] => return Err(format!("Unexpected byte received by BooleanDeserializer: {other}")),
                _ => return Err("Size of data received by BooleanDeserializer is not 1".to_string()),
            },
            Deserializer::Uuid => {
                let text = String::from_utf8_lossy(bytes).to_lowercase();
                let lengths: Vec<usize> = text.split('-').map(str::len).collect();
                let digits = text.chars().all(|c| c == '-' || c.is_ascii_hexdigit());
                if lengths != [8, 4, 4, 4, 12] || !digits {
                    return Err("Error parsing data into UUID".to_string());
                }
                text
            }
        };
        Ok(text.into_bytes())
    }

    fn array<const N: usize>(self, bytes: &[u8]) -> Result<[u8; N], String> {
        bytes.try_into().map_err(|_| format!("Size of data received by {self:?}Deserializer is not {N}"))
    }
}

fn escaped(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for byte in bytes {
        match byte {
            b' '..=b'~' if *byte != b'\\' => text.push(char::from(*byte)),
            _ => write!(text, "\\x{byte:02X}").expect("writing to a string can't fail"),
        }
    }
    text
}

/// A number as Java's `Double.toString` gives it.
pub fn java_double(number: f64) -> String {
    java_decimal(number, format!("{number:e}"))
}

/// Java writes numbers from 0.001 up to 10^7 plainly, always with a decimal point, and others as `1.5E10`.
fn java_decimal(number: f64, scientific: String) -> String {
    if number.is_nan() {
        return "NaN".to_string();
    }
    if number.is_infinite() {
        return if number > 0.0 { "Infinity".to_string() } else { "-Infinity".to_string() };
    }
    let with_point = |digits: &str| match digits.contains('.') {
        true => digits.to_string(),
        false => format!("{digits}.0"),
    };
    let (mantissa, exponent) = scientific.split_once('e').expect("the format has an exponent");
    if number == 0.0 || (1e-3..1e7).contains(&number.abs()) {
        return with_point(&plain(mantissa, exponent.parse().expect("an exponent is a number")));
    }
    format!("{}E{exponent}", with_point(mantissa))
}

/// `-1.25` and 2 become `-125`.
fn plain(mantissa: &str, exponent: i32) -> String {
    let (sign, digits) = match mantissa.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", mantissa),
    };
    let digits: String = digits.chars().filter(|c| *c != '.').collect();
    if exponent < 0 {
        let zeros = "0".repeat((-exponent - 1) as usize);
        return format!("{sign}0.{zeros}{digits}");
    }
    let whole = exponent as usize + 1;
    match digits.len() <= whole {
        true => format!("{sign}{digits}{}", "0".repeat(whole - digits.len())),
        false => format!("{sign}{}.{}", &digits[..whole], &digits[whole..]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(class: &str, bytes: &[u8]) -> Result<String, String> {
        let deserializer = Deserializer::from_class(class).expect("known");
        deserializer.to_text(bytes).map(|text| String::from_utf8(text).expect("text"))
    }

    #[test]
    fn numbers_are_big_endian() {
        let package = "org.apache.kafka.common.serialization.";
        assert_eq!(text(&format!("{package}IntegerDeserializer"), &[0, 0, 1, 0]).as_deref(), Ok("256"));
        assert_eq!(text("LongDeserializer", &(-5i64).to_be_bytes()).as_deref(), Ok("-5"));
        assert_eq!(text("ShortDeserializer", &[1]), Err("Size of data received by ShortDeserializer is not 2".into()));
        assert_eq!(text("BytesDeserializer", b"a\n\\").as_deref(), Ok("a\\x0A\\x5C"));
        assert!(Deserializer::from_class("com.example.Own").is_none());
    }

    #[test]
    fn decimals_look_as_in_java() {
        let cases = [
            (1.0, "1.0"),
            (0.0, "0.0"),
            (-12.5, "-12.5"),
            (100.0, "100.0"),
            (0.001, "0.001"),
            (0.00012, "1.2E-4"),
            (1e7, "1.0E7"),
            (1234567.875, "1234567.875"),
            (1.5e300, "1.5E300"),
        ];
        for (number, expected) in cases {
            assert_eq!(text("DoubleDeserializer", &f64::to_be_bytes(number)).as_deref(), Ok(expected));
        }
        assert_eq!(text("FloatDeserializer", &0.1f32.to_be_bytes()).as_deref(), Ok("0.1"));
        assert_eq!(text("DoubleDeserializer", &f64::NAN.to_be_bytes()).as_deref(), Ok("NaN"));
    }
}
