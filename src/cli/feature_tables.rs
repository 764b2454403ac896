//! `version-mapping` and `feature-dependencies`, which `kafka-features` and `kafka-storage` share.

use super::output::{Failure, Outcome, Output};
use crate::metadata::features::{self, FEATURES, METADATA_VERSION, MetadataVersion};

/// Prints which level of every feature belongs to a release; the latest without one.
pub fn version_mapping(release: Option<&str>, out: &mut Output) -> Outcome {
    let latest = MetadataVersion::latest();
    let text = release.unwrap_or(latest.name);
    let version = MetadataVersion::parse(text).map_err(Failure::message)?;
    out.line(format_args!("{METADATA_VERSION}={} ({text})", version.level))?;
    for feature in &FEATURES {
        out.line(format_args!("{}={}", feature.name, feature.default_level(version.level)))?;
    }
    Ok(())
}

/// Prints what levels of features need; each is given as `name=level`.
pub fn dependencies(wanted: &[&str], out: &mut Output) -> Outcome {
    for text in wanted {
        let (name, level) = parse_level(text)?;
        if name == METADATA_VERSION {
            let version = MetadataVersion::from_level(level)
                .ok_or_else(|| Failure::message(format!("Unknown {METADATA_VERSION} {level}")))?;
            out.line(format_args!("{name}={level} ({}) has no dependencies.", version.name))?;
            continue;
        }
        let feature = features::find(name).ok_or_else(|| Failure::message(format!("Unknown feature: {name}")))?;
        if !(0..=feature.level_max).contains(&level) {
            return Err(Failure::message(format!("No feature:{name} with feature level {level}")));
        }
        match feature.dependency(level) {
            None => out.line(format_args!("{name}={level} has no dependencies."))?,
            Some(version) => {
                out.line(format_args!("{name}={level} requires:"))?;
                out.line(format_args!("    {METADATA_VERSION}={} ({})", version.level, version.name))?;
            }
        }
    }
    Ok(())
}

/// Splits `name=level`.
pub fn parse_level(text: &str) -> Result<(&str, i16), Failure> {
    let Some((name, level)) = text.split_once('=') else {
        return Err(Failure::message(format!("Can't parse feature=level string {text}: equals sign not found.")));
    };
    let (name, level) = (name.trim(), level.trim());
    match level.parse() {
        Ok(level) => Ok((name, level)),
        Err(_) => Err(Failure::message(format!(
            "Can't parse feature=level string {text}: unable to parse {level} as a short."
        ))),
    }
}
