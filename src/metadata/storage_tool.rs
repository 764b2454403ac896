//! What the other commands of `kafka-storage` say: info, version-mapping, feature-dependencies, random-uuid.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::controller;
use super::features::{self, FEATURES, METADATA_VERSION, MetadataVersion};
use crate::log::MetaProperties;

/// A random id, as `random-uuid` prints it.
pub fn random_uuid() -> String {
    controller::random_uuid().to_string()
}

/// The lines of `info`, and whether there was no problem.
pub fn info(directories: &BTreeSet<PathBuf>) -> (Vec<String>, bool) {
    let mut found = Vec::new();
    let mut problems = Vec::new();
    let mut first: Option<MetaProperties> = None;
    for log_dir in directories {
        match state(log_dir) {
            Err(problem) => problems.push(problem),
            Ok(read) => {
                found.push(log_dir.display().to_string());
                match (read, &first) {
                    (Err(problem), _) => problems.push(problem),
                    (Ok(properties), None) => first = Some(properties),
                    (Ok(properties), Some(first)) if properties.cluster_id != first.cluster_id => {
                        problems.push("Mismatched cluster IDs between storage directories.".into());
                    }
                    (Ok(properties), Some(first)) if properties.node_id != first.node_id => {
                        problems.push("Mismatched node IDs between storage directories.".into());
                    }
                    _ => {}
                }
            }
        }
    }
    let mut lines = Vec::new();
    list(&mut lines, ["Found log directory:", "Found log directories:"], &found);
    if let Some(properties) = first {
        lines.extend([format!("Found metadata: {}", properties.describe()), String::new()]);
    }
    list(&mut lines, ["Found problem:", "Found problems:"], &problems);
    (lines, problems.is_empty())
}

/// Whether it is a directory at all, and then what its `meta.properties` says.
fn state(log_dir: &Path) -> Result<Result<MetaProperties, String>, String> {
    if !log_dir.exists() {
        return Err(format!("{} does not exist", log_dir.display()));
    }
    if !log_dir.is_dir() {
        return Err(format!("{} is not a directory", log_dir.display()));
    }
    Ok(match MetaProperties::read(log_dir) {
        Ok(Some(properties)) => Ok(properties),
        Ok(None) => Err(format!("{} is not formatted.", log_dir.display())),
        Err(error) => Err(format!("Error loading {}/meta.properties: {error}", log_dir.display())),
    })
}

fn list(lines: &mut Vec<String>, [one, many]: [&str; 2], items: &[String]) {
    if items.is_empty() {
        return;
    }
    lines.push(if items.len() == 1 { one } else { many }.to_owned());
    lines.extend(items.iter().map(|item| format!("  {item}")));
    lines.push(String::new());
}

/// The lines of `version-mapping`: the features that a new cluster of a release starts with.
pub fn version_mapping(release_version: Option<&str>) -> Result<Vec<String>, String> {
    let text = release_version.unwrap_or(MetadataVersion::latest().name);
    let version = MetadataVersion::parse(text)?;
    let mut lines = vec![format!("{METADATA_VERSION}={} ({text})", version.level)];
    lines.extend(FEATURES.iter().map(|feature| format!("{}={}", feature.name, feature.default_level(version.level))));
    Ok(lines)
}

/// The lines of `feature-dependencies` for one `name=level`.
pub fn feature_dependencies(feature: &str) -> Result<Vec<String>, String> {
    let Some((name, level_text)) = feature.split_once('=') else {
        return Err(format!(
            "Invalid feature format: {feature}. Expected format: 'feature=version' (e.g. 'group.version=1')"
        ));
    };
    let level: i16 =
        level_text.parse().map_err(|_| format!("Invalid version format: {level_text} for feature {name}"))?;
    if name == METADATA_VERSION {
        let version = MetadataVersion::from_level(level).ok_or_else(|| format!("Unknown metadata.version {level}"))?;
        return Ok(vec![format!("{name}={level} ({}) has no dependencies.", version.name)]);
    }
    let feature = features::find(name).ok_or_else(|| format!("Unknown feature: {name}"))?;
    if !(0..=feature.level_max).contains(&level) {
        return Err(format!("Feature level {level} is not supported for feature {name}"));
    }
    Ok(match feature.dependency(level) {
        None => vec![format!("{name}={level} has no dependencies.")],
        Some(needed) => vec![
            format!("{name}={level} requires:"),
            format!("    {METADATA_VERSION}={} ({})", needed.level, needed.name),
        ],
    })
}

/// Reads one `--feature` argument of `format`.
pub fn parse_feature(text: &str) -> Result<(String, i16), String> {
    let (name, level) = text
        .split_once('=')
        .ok_or_else(|| format!("Can't parse feature=level string {text}: equals sign not found."))?;
    let level = level.trim().parse();
    let level =
        level.map_err(|_| format!("Can't parse feature=level string {text}: unable to parse {text} as a short."))?;
    Ok((name.trim().to_owned(), level))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_those_of_kafka_storage() {
        let mapping = version_mapping(Some("4.0")).expect("known");
        assert_eq!(mapping[0], "metadata.version=25 (4.0)");
        assert_eq!(mapping[1..4], ["kraft.version=1", "transaction.version=2", "group.version=1"]);
        assert_eq!(version_mapping(None).expect("known")[0], "metadata.version=30 (4.3-IV0)");
        let dependencies = feature_dependencies("eligible.leader.replicas.version=1").expect("known");
        assert_eq!(dependencies[1], "    metadata.version=23 (4.0-IV1)");
        assert_eq!(feature_dependencies("nope=1"), Err("Unknown feature: nope".into()));
        assert_eq!(
            feature_dependencies("group.version=9"),
            Err("Feature level 9 is not supported for feature group.version".into())
        );
    }

    #[test]
    fn info_lists_directories_and_problems() {
        let root = tempfile::tempdir().expect("tempdir");
        let missing = root.path().join("none");
        let (lines, fine) = info(&[root.path().to_owned(), missing.clone()].into());
        assert!(!fine);
        let path = root.path().display();
        let expected = [
            "Found log directory:".into(),
            format!("  {path}"),
            String::new(),
            "Found problems:".into(),
            format!("  {path} is not formatted."),
            format!("  {} does not exist", missing.display()),
            String::new(),
        ];
        assert_eq!(lines, expected);
    }
}
