//! `meta.properties`: which cluster and which node a log directory belongs to.
//!
//! ```text
//! node.id=1
//! directory.id=hjXmyjJrRI6kejHKEXgauQ
//! version=1
//! cluster.id=AAAAAAAAAAAAAAAAAAAAAg
//! ```

use std::fmt;
use std::io;
use std::path::Path;

use super::format::META_PROPERTIES_FILE;
use crate::rt::directory;
use crate::wire::Uuid;

/// What the file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetaProperties {
    /// `cluster.id`
    pub cluster_id: String,
    /// `node.id`
    pub node_id: i32,
    /// `directory.id`; a file of an old release has none.
    pub directory_id: Option<Uuid>,
}

/// Why the file cannot be read.
#[derive(Debug)]
pub enum MetaPropertiesError {
    /// The file system says no.
    Io(io::Error),
    /// The file does not say what it should.
    Invalid(String),
}

impl fmt::Display for MetaPropertiesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MetaPropertiesError::Io(error) => error.fmt(f),
            MetaPropertiesError::Invalid(reason) => f.write_str(reason),
        }
    }
}

impl std::error::Error for MetaPropertiesError {}

impl MetaProperties {
    /// Reads the file of a log directory; `None` if the directory is not formatted.
    pub fn read(log_dir: &Path) -> Result<Option<MetaProperties>, MetaPropertiesError> {
        let path = log_dir.join(META_PROPERTIES_FILE);
        let Some(bytes) = directory::read_if_exists(&path).map_err(MetaPropertiesError::Io)? else { return Ok(None) };
        let invalid = |reason: String| MetaPropertiesError::Invalid(format!("{}: {reason}", path.display()));
        let properties = java_properties::read(&bytes[..]).map_err(|error| invalid(error.to_string()))?;
        let text = |key: &str| {
            let value = properties.get(key).map(|value| value.trim().to_owned());
            value.ok_or_else(|| invalid(format!("Failed to find {key}")))
        };
        let version = text("version")?;
        if version != "1" {
            return Err(invalid(format!("version {version} is not that of a KRaft cluster, expected 1")));
        }
        let node_id = text("node.id")?;
        let node_id = node_id.parse().map_err(|_| invalid(format!("node.id {node_id} is not a number")))?;
        let directory_id = properties.get("directory.id").map(|id| id.trim().parse::<Uuid>());
        let directory_id = directory_id.transpose().map_err(|error| invalid(format!("directory.id: {error}")))?;
        Ok(Some(MetaProperties { cluster_id: text("cluster.id")?, node_id, directory_id }))
    }

    /// Writes the file, durably.
    pub fn write(&self, log_dir: &Path) -> io::Result<()> {
        directory::write_atomic(&log_dir.join(META_PROPERTIES_FILE), self.to_text().as_bytes())
    }

    fn to_text(&self) -> String {
        let directory_id = self.directory_id.map_or(String::new(), |id| format!("directory.id={id}\n"));
        let (node_id, cluster_id) = (self.node_id, escaped(&self.cluster_id));
        format!("#\nnode.id={node_id}\n{directory_id}version=1\ncluster.id={cluster_id}\n")
    }

    /// As the info command shows it: keys in order.
    pub fn describe(&self) -> String {
        let directory_id = self.directory_id.map_or(String::new(), |id| format!("directory.id={id}, "));
        format!("{{cluster.id={}, {directory_id}node.id={}, version=1}}", self.cluster_id, self.node_id)
    }
}

/// Cluster ids are almost always plain; the few characters that mean something in a properties file are escaped.
fn escaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for (position, character) in value.chars().enumerate() {
        let leading_space = character == ' ' && position == 0;
        if leading_space || matches!(character, '\\' | ':' | '=' | '#' | '!') {
            text.push('\\');
        }
        text.push(character);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips() {
        let dir = tempfile::tempdir().expect("tempdir");
        assert_eq!(MetaProperties::read(dir.path()).expect("readable"), None);
        let properties = MetaProperties {
            cluster_id: "not: a=uuid".into(),
            node_id: 7,
            directory_id: Some(Uuid::from_u128(1 << 100)),
        };
        properties.write(dir.path()).expect("write");
        assert_eq!(MetaProperties::read(dir.path()).expect("readable"), Some(properties));
    }

    #[test]
    fn files_of_apache_kafka_are_read() {
        let dir = tempfile::tempdir().expect("tempdir");
        let text = "#\n#Sat Nov 21 09:54:00 UTC 2026\nnode.id=1\ndirectory.id=hjXmyjJrRI6kejHKEXgauQ\nversion=1\n\
                    cluster.id=AAAAAAAAAAAAAAAAAAAAAg\n";
        std::fs::write(dir.path().join(META_PROPERTIES_FILE), text).expect("write");
        let properties = MetaProperties::read(dir.path()).expect("readable").expect("formatted");
        assert_eq!(properties.directory_id, "hjXmyjJrRI6kejHKEXgauQ".parse().ok());
        let shown = "{cluster.id=AAAAAAAAAAAAAAAAAAAAAg, directory.id=hjXmyjJrRI6kejHKEXgauQ, node.id=1, version=1}";
        assert_eq!(properties.describe(), shown);
        std::fs::write(dir.path().join(META_PROPERTIES_FILE), "version=0\nbroker.id=1\n").expect("write");
        assert!(MetaProperties::read(dir.path()).is_err());
    }
}
