//! Formatting of log directories: what `kafka-storage format` does, and what a first start does by itself.
//!
//! | file | where | what |
//! |---|---|---|
//! | `meta.properties` | every directory | which cluster, node and directory it is |
//! | `bootstrap.checkpoint` | every directory | the first records of the cluster |
//! | `__cluster_metadata-0/00..0-00..0.checkpoint` | the metadata directory of a dynamic quorum | `kraft.version`, voters |

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::bootstrap;
use super::controller::random_uuid;
use super::features::{self, FEATURES, KRAFT_VERSION, METADATA_VERSION, MetadataVersion};
use super::quorum::{LOG_DIRECTORY, SnapshotFrame, SnapshotId, Voter, VoterEndpoint, Voters, write_snapshot};
use super::records::MetadataRecord;
use crate::config::BrokerConfig;
use crate::log::MetaProperties;
use crate::log::format::META_PROPERTIES_FILE;
use crate::rt::{clock, directory};
use crate::wire::Uuid;

/// Why directories cannot be formatted; the text is Kafka's.
#[derive(Debug, PartialEq, Eq)]
pub struct FormatError(pub String);

impl fmt::Display for FormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for FormatError {}

impl From<io::Error> for FormatError {
    fn from(error: io::Error) -> Self {
        FormatError(error.to_string())
    }
}

fn refuse<T>(text: impl Into<String>) -> Result<T, FormatError> {
    Err(FormatError(text.into()))
}

/// How the voters of the quorum are known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InitialQuorum {
    /// By `controller.quorum.voters`: kraft.version 0.
    Static,
    /// Not yet (`--no-initial-controllers`), or this node is no controller.
    None,
    /// By the metadata log, which starts with these (`--standalone`, `--initial-controllers`).
    Dynamic(Voters),
}

/// What to format, and how.
#[derive(Clone, Debug)]
pub struct FormatRequest {
    /// `--cluster-id`
    pub cluster_id: String,
    /// `node.id`
    pub node_id: i32,
    /// `log.dirs` and `metadata.log.dir`.
    pub directories: BTreeSet<PathBuf>,
    /// `metadata.log.dir`
    pub metadata_directory: PathBuf,
    /// `--ignore-formatted`
    pub ignore_formatted: bool,
    /// `--release-version`
    pub release_version: Option<String>,
    /// `--feature`, name and level.
    pub features: Vec<(String, i16)>,
    /// `--standalone`, `--initial-controllers`, `--no-initial-controllers`.
    pub quorum: InitialQuorum,
}

/// The flags of `format` that say how the quorum starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QuorumFlag {
    /// None of them.
    Absent,
    /// `--standalone`
    Standalone,
    /// `--no-initial-controllers`
    NoInitialControllers,
    /// `--initial-controllers`
    InitialControllers(String),
}

impl FormatRequest {
    /// A request for the directories of a configuration.
    pub fn new(config: &BrokerConfig, cluster_id: &str, quorum: &QuorumFlag) -> Result<FormatRequest, FormatError> {
        let mut directories: BTreeSet<PathBuf> = config.log_dirs.iter().cloned().collect();
        directories.insert(config.metadata_log_dir.clone());
        Ok(FormatRequest {
            cluster_id: cluster_id.to_owned(),
            node_id: config.node_id,
            directories,
            metadata_directory: config.metadata_log_dir.clone(),
            ignore_formatted: false,
            release_version: None,
            features: Vec::new(),
            quorum: initial_quorum(config, quorum)?,
        })
    }

    /// Formats the directories that are not; every line for a person goes to `print`.
    pub fn run(&self, print: &mut dyn FnMut(&str)) -> Result<(), FormatError> {
        if !self.directories.contains(&self.metadata_directory) {
            return refuse(format!(
                "The specified metadata log directory, {} was not one of the given directories: {:?}",
                self.metadata_directory.display(),
                self.directories
            ));
        }
        let version = self.metadata_version()?;
        let kraft_version = self.check_features(version)?;
        let records = bootstrap::feature_records(version.level, &self.features);
        let (formatted, empty) = self.look()?;
        if let (Some(first), false) = (formatted.first(), self.ignore_formatted) {
            return refuse(format!(
                "Log directory {} is already formatted. Use --ignore-formatted to ignore this directory and format the others.",
                first.display()
            ));
        }
        if empty.is_empty() {
            print("All of the log directories are already formatted.");
        } else {
            print(&describe(&records, version));
        }
        for log_dir in empty {
            print(&format!(
                "Formatting {} {} with metadata.version {}.",
                self.describe_directory(log_dir),
                log_dir.display(),
                version.name
            ));
            self.format_directory(log_dir, &records, version, kraft_version)?;
        }
        Ok(())
    }

    fn metadata_version(&self) -> Result<MetadataVersion, FormatError> {
        let feature = self.features.iter().find(|(name, _)| name == METADATA_VERSION).map(|(_, level)| *level);
        match (feature, &self.release_version) {
            (Some(_), Some(_)) => {
                refuse("Use --release-version instead of --feature metadata.version=X to avoid ambiguity.")
            }
            (Some(level), None) => MetadataVersion::from_level(level)
                .ok_or_else(|| FormatError(format!("No MetadataVersion with feature level {level}"))),
            (None, Some(release)) => MetadataVersion::parse(release).map_err(FormatError),
            (None, None) => Ok(MetadataVersion::latest()),
        }
    }

    /// Checks the wanted levels and answers that of `kraft.version`.
    fn check_features(&self, version: MetadataVersion) -> Result<i16, FormatError> {
        for (name, level) in self.features.iter().filter(|(name, _)| name != METADATA_VERSION) {
            let Some(feature) = features::find(name) else {
                let mut names = FEATURES.map(|feature| feature.name);
                names.sort_unstable();
                return refuse(format!("Unsupported feature: {name}. Supported features are: {}", names.join(", ")));
            };
            if !(0..=feature.level_max).contains(level) {
                return refuse(format!("No feature:{name} with feature level {level}"));
            }
            if let Some(needed) = feature.dependency(*level).filter(|needed| version.level < needed.level) {
                let needed = needed.level;
                return refuse(format!(
                    "{name} could not be set to {level} because it depends on metadata.version level {needed}"
                ));
            }
        }
        let wanted = self.features.iter().find(|(name, _)| name == KRAFT_VERSION).map(|(_, level)| *level);
        match (wanted, &self.quorum) {
            (Some(0), InitialQuorum::Dynamic(_) | InitialQuorum::None) => refuse(
                "Cannot set kraft.version to 0 if controller.quorum.voters is empty and one of the flags --standalone, \
                 --initial-controllers, or --no-initial-controllers is used. For dynamic controllers support, try removing \
                 the --feature flag for kraft.version.",
            ),
            (Some(level), InitialQuorum::Static) if level > 0 => refuse(format!(
                "Cannot set kraft.version to {level} unless controller.quorum.voters is empty and one of the flags \
                 --standalone, --initial-controllers, or --no-initial-controllers is used. For dynamic controllers support, \
                 try using one of --standalone, --initial-controllers, or --no-initial-controllers and removing \
                 controller.quorum.voters."
            )),
            (Some(level), _) => Ok(level),
            (None, InitialQuorum::Dynamic(_)) => Ok(1),
            (None, _) => Ok(0),
        }
    }

    /// The directories that are formatted, for this node and cluster, and those that are not.
    fn look(&self) -> Result<(Vec<&PathBuf>, Vec<&PathBuf>), FormatError> {
        let (mut formatted, mut empty) = (Vec::new(), Vec::new());
        for log_dir in &self.directories {
            let Some(found) = MetaProperties::read(log_dir).map_err(|error| FormatError(error.to_string()))? else {
                empty.push(log_dir);
                continue;
            };
            let path = log_dir.join(META_PROPERTIES_FILE);
            if found.cluster_id != self.cluster_id {
                return refuse(format!(
                    "Invalid cluster.id in: {}. Expected {}, but read {}",
                    path.display(),
                    self.cluster_id,
                    found.cluster_id
                ));
            }
            if found.node_id != self.node_id {
                return refuse(format!(
                    "Stored node id {} doesn't match previous node id {} in {}. If you moved your data, make sure your \
                     configured node id matches. If you intend to create a new node, you should remove all data in your \
                     data directories.",
                    found.node_id,
                    self.node_id,
                    path.display()
                ));
            }
            formatted.push(log_dir);
        }
        Ok((formatted, empty))
    }

    fn describe_directory(&self, log_dir: &Path) -> &'static str {
        match &self.quorum {
            _ if log_dir != self.metadata_directory => "data directory",
            InitialQuorum::Dynamic(voters) if voters.0.iter().any(|voter| voter.id == self.node_id) => {
                "dynamic metadata voter directory"
            }
            InitialQuorum::Dynamic(_) => "dynamic metadata directory",
            _ => "metadata directory",
        }
    }

    fn format_directory(
        &self,
        log_dir: &Path,
        records: &[MetadataRecord],
        version: MetadataVersion,
        kraft_version: i16,
    ) -> Result<(), FormatError> {
        directory::create_all(log_dir).map_err(|error| not_made(&error))?;
        bootstrap::write(log_dir, records, version.level)?;
        let mut directory_id = random_uuid();
        if let (InitialQuorum::Dynamic(voters), true) = (&self.quorum, log_dir == self.metadata_directory) {
            if let Some(own) = voters.0.iter().find(|voter| voter.id == self.node_id) {
                directory_id = own.directory_id;
            }
            write_voters(log_dir, voters, kraft_version)?;
        }
        // The file that makes the directory count as formatted comes last.
        let properties = MetaProperties {
            cluster_id: self.cluster_id.clone(),
            node_id: self.node_id,
            directory_id: Some(directory_id),
        };
        Ok(properties.write(log_dir)?)
    }
}

/// Formats the directories of a node that starts for the first time, and those that were added since; answers the
/// cluster id. A new cluster gets `cluster_id`, or a random one.
pub fn ensure_formatted(config: &BrokerConfig, cluster_id: Option<&str>) -> Result<String, FormatError> {
    let log_dirs: BTreeSet<&PathBuf> = std::iter::once(&config.metadata_log_dir).chain(&config.log_dirs).collect();
    let mut known = None;
    let mut unformatted = Vec::new();
    // Directories that start fenced, unless the metadata log is there: the broker says why when it opens them.
    let mut unusable = Vec::new();
    for log_dir in log_dirs {
        match MetaProperties::read(log_dir) {
            Ok(Some(found)) => known = Some(found.cluster_id),
            Ok(None) => unformatted.push(log_dir),
            Err(error) => unusable.push((log_dir, error.to_string())),
        }
    }
    let fatal = |(log_dir, _): &&(&PathBuf, String)| known.is_none() || **log_dir == config.metadata_log_dir;
    if let Some((log_dir, error)) = unusable.iter().find(fatal) {
        return refuse(format!("log directory {} can't be used: {error}; restore it", log_dir.display()));
    }
    if known.is_some() && unformatted.contains(&&config.metadata_log_dir) {
        return refuse(format!(
            "No `meta.properties` found in {}, which should hold the metadata log, but other log directories are \
             formatted: restore the directory, or format it with `millrace format`",
            config.metadata_log_dir.display()
        ));
    }
    if known.is_some() {
        let (empty, foreign): (Vec<_>, Vec<_>) =
            unformatted.into_iter().partition(|log_dir| refuse_foreign_content(log_dir).is_ok());
        unformatted = empty;
        unusable.extend(foreign.into_iter().map(|log_dir| (log_dir, String::new())));
    }
    match &known {
        None => unformatted.iter().try_for_each(|log_dir| refuse_foreign_content(log_dir))?,
        Some(known) if unformatted.is_empty() => return Ok(known.clone()),
        Some(_) => {}
    }
    let cluster_id = match (known, cluster_id) {
        (Some(known), _) => known,
        (None, Some(wanted)) => wanted.to_owned(),
        (None, None) => random_uuid().to_string(),
    };
    let flag = if config.controller_quorum_voters.is_empty() { QuorumFlag::Standalone } else { QuorumFlag::Absent };
    let mut request = FormatRequest::new(config, &cluster_id, &flag)?;
    request.ignore_formatted = true;
    request.directories.retain(|log_dir| unusable.iter().all(|(unusable, _)| *unusable != log_dir));
    request.run(&mut |line| tracing::debug!("{line}"))?;
    Ok(cluster_id)
}

fn not_made(error: &io::Error) -> FormatError {
    let mend = match error.kind() {
        io::ErrorKind::PermissionDenied => "; let the broker's user write there, or name another place in log.dirs",
        io::ErrorKind::ReadOnlyFilesystem => {
            "; name another place in log.dirs, or let the broker write there (a systemd service by ReadWritePaths=)"
        }
        _ => "",
    };
    FormatError(format!("{error}{mend}"))
}

/// A first start takes directories that are empty, or whose formatting was cut short; never somebody else's files, nor data
/// whose `meta.properties` is lost.
fn refuse_foreign_content(log_dir: &Path) -> Result<(), FormatError> {
    let listed = |path: &Path| match directory::list(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        listed => listed,
    };
    let mut foreign = None;
    for entry in listed(log_dir)? {
        let is_harmless = match entry.name.as_str() {
            // Of a fresh file system.
            "lost+found" => true,
            LOG_DIRECTORY => !listed(&log_dir.join(&entry.name))?.iter().any(|entry| entry.name.ends_with(".log")),
            name => name.starts_with(bootstrap::FILE_NAME) || name.starts_with(META_PROPERTIES_FILE),
        };
        if !is_harmless {
            foreign = Some(entry.name);
            break;
        }
    }
    match foreign {
        None => Ok(()),
        Some(name) => refuse(format!(
            "log directory {} has no {META_PROPERTIES_FILE}, but is not empty (it holds {name}): name an empty directory in \
             log.dirs, or restore the file",
            log_dir.display()
        )),
    }
}

fn initial_quorum(config: &BrokerConfig, flag: &QuorumFlag) -> Result<InitialQuorum, FormatError> {
    let is_static = !config.controller_quorum_voters.is_empty();
    let is_controller = config.roles.controller;
    if is_static && matches!(flag, QuorumFlag::Standalone | QuorumFlag::InitialControllers(_)) {
        return refuse(
            "You cannot specify controller.quorum.voters and format the node with --initial-controllers or --standalone. If you \
             want to use dynamic quorum, please remove controller.quorum.voters and specify \
             controller.quorum.bootstrap.servers instead.",
        );
    }
    let listener_name = config.listeners.controller_names.first().map_or("CONTROLLER", String::as_str);
    match flag {
        QuorumFlag::Standalone if !is_controller => refuse("You can only use --standalone on a controller."),
        QuorumFlag::Standalone => {
            let Some(endpoint) = config.listeners.advertised_controller.first() else {
                return refuse("No controller listeners found.");
            };
            let host = if endpoint.host.is_empty() { "localhost" } else { &endpoint.host };
            let voter = new_voter(config.node_id, listener_name, host, endpoint.port, random_uuid());
            Ok(InitialQuorum::Dynamic(Voters(vec![voter])))
        }
        QuorumFlag::InitialControllers(text) => {
            parse_initial_controllers(text, listener_name).map(InitialQuorum::Dynamic)
        }
        QuorumFlag::Absent if is_static => Ok(InitialQuorum::Static),
        QuorumFlag::Absent if is_controller => refuse(
            "Because controller.quorum.voters is not set on this controller, you must specify one of the following: \
             --standalone, --initial-controllers, or --no-initial-controllers.",
        ),
        QuorumFlag::Absent | QuorumFlag::NoInitialControllers => Ok(InitialQuorum::None),
    }
}

/// The snapshot that a dynamic quorum starts with.
fn write_voters(log_dir: &Path, voters: &Voters, kraft_version: i16) -> io::Result<()> {
    let log_directory = log_dir.join(LOG_DIRECTORY);
    directory::create_all(&log_directory)?;
    let now_ms = clock::now_ms();
    let frame = SnapshotFrame {
        last_contained_log_timestamp: now_ms,
        dynamic_quorum: Some((kraft_version, voters)),
        epoch: 0,
        metadata_version: features::METADATA_VERSION_MAX,
        now_ms,
    };
    write_snapshot(&SnapshotId::BOOTSTRAP.path(&log_directory), frame, &[]).map(drop)
}

/// Reads `--initial-controllers`: `id@host:port:directory,...`. The addresses belong to the listener `listener_name`.
pub fn parse_initial_controllers(text: &str, listener_name: &str) -> Result<Voters, FormatError> {
    let voter = |entry: &str| {
        let entry = entry.trim();
        let (id, rest) =
            entry.split_once('@').ok_or_else(|| FormatError("No @ found in dynamic voter string.".into()))?;
        let id = id.parse().map_err(|_| FormatError("Failed to parse node id in dynamic voter string.".into()))?;
        let no_host = || FormatError("No colon following hostname could be found.".into());
        let (host, rest) = match rest.strip_prefix('[') {
            Some(rest) => rest.split_once("]:").ok_or_else(no_host)?,
            None => rest.split_once(':').ok_or_else(no_host)?,
        };
        let (port, directory_id) =
            rest.split_once(':').ok_or_else(|| FormatError("No colon following port could be found.".into()))?;
        let port = port.parse().map_err(|_| FormatError("Failed to parse port in dynamic voter string.".into()))?;
        let directory_id = directory_id
            .parse()
            .map_err(|_| FormatError("Failed to parse directory ID in dynamic voter string.".into()))?;
        Ok(new_voter(id, listener_name, host, port, directory_id))
    };
    let voters: Vec<Voter> =
        text.split(',').filter(|entry| !entry.trim().is_empty()).map(voter).collect::<Result<_, FormatError>>()?;
    if voters.is_empty() {
        return refuse("No voters given.");
    }
    Ok(Voters(voters))
}

/// A voter with one address.
pub fn new_voter(id: i32, listener_name: &str, host: &str, port: u16, directory_id: Uuid) -> Voter {
    let endpoint = VoterEndpoint { name: listener_name.into(), host: host.into(), port };
    Voter { id, directory_id, endpoints: vec![endpoint] }
}

fn describe(records: &[MetadataRecord], version: MetadataVersion) -> String {
    let record = |record: &MetadataRecord| match record {
        MetadataRecord::FeatureLevel(record) => format!(
            "ApiMessageAndVersion(FeatureLevelRecord(name='{}', featureLevel={}) at version 0)",
            record.name, record.feature_level
        ),
        other => format!("ApiMessageAndVersion({other:?})"),
    };
    let records: Vec<String> = records.iter().map(record).collect();
    format!(
        "Bootstrap metadata: BootstrapMetadata(records=[{}], metadataVersionLevel={}, source=format command)",
        records.join(", "),
        version.level
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(root: &Path, quorum: InitialQuorum) -> FormatRequest {
        FormatRequest {
            cluster_id: "AAAAAAAAAAAAAAAAAAAAAg".into(),
            node_id: 1,
            directories: ["a", "b"].iter().map(|name| root.join(name)).collect(),
            metadata_directory: root.join("a"),
            ignore_formatted: false,
            release_version: None,
            features: Vec::new(),
            quorum,
        }
    }

    fn standalone() -> InitialQuorum {
        InitialQuorum::Dynamic(Voters(vec![new_voter(1, "CONTROLLER", "127.0.0.1", 29493, Uuid::from_u128(1 << 90))]))
    }

    fn run(request: &FormatRequest) -> Result<Vec<String>, String> {
        let mut lines = Vec::new();
        match request.run(&mut |line| lines.push(line.to_owned())) {
            Ok(()) => Ok(lines),
            Err(error) => Err(error.0),
        }
    }

    #[test]
    fn standalone_writes_the_files_of_apache_kafka() {
        let root = tempfile::tempdir().expect("tempdir");
        let mut request = request(root.path(), standalone());
        let lines = run(&request).expect("formats");
        let path = root.path().display();
        assert_eq!(
            lines[1],
            format!("Formatting dynamic metadata voter directory {path}/a with metadata.version 4.3-IV0.")
        );
        assert_eq!(lines[2], format!("Formatting data directory {path}/b with metadata.version 4.3-IV0."));
        let len = |name: &str| std::fs::metadata(root.path().join(name)).expect("exists").len();
        assert_eq!(len("a/bootstrap.checkpoint"), 411);
        assert_eq!(len("a/__cluster_metadata-0/00000000000000000000-0000000000.checkpoint"), 241);
        assert!(!root.path().join("b/__cluster_metadata-0").exists());
        let found = MetaProperties::read(&root.path().join("a")).expect("readable").expect("formatted");
        assert_eq!(found.directory_id, Some(Uuid::from_u128(1 << 90)));

        let error = run(&request).expect_err("formatted");
        assert_eq!(
            error,
            format!(
                "Log directory {path}/a is already formatted. Use --ignore-formatted to ignore this directory and format the others."
            )
        );
        request.ignore_formatted = true;
        assert_eq!(run(&request).expect("nothing to do")[0], "All of the log directories are already formatted.");
        request.cluster_id = "other".into();
        assert!(run(&request).expect_err("another cluster").starts_with("Invalid cluster.id in: "));
    }

    #[test]
    fn static_quorum_has_no_voters_in_the_log() {
        let root = tempfile::tempdir().expect("tempdir");
        let lines = run(&request(root.path(), InitialQuorum::Static)).expect("formats");
        assert!(lines[1].starts_with("Formatting metadata directory "));
        assert!(!root.path().join("a/__cluster_metadata-0").exists());
    }

    #[test]
    fn wrong_features_are_refused_in_kafkas_words() {
        let root = tempfile::tempdir().expect("tempdir");
        let with = |quorum: InitialQuorum, features: &[(&str, i16)], release: Option<&str>| {
            let mut request = request(root.path(), quorum);
            request.features = features.iter().map(|(name, level)| ((*name).to_owned(), *level)).collect();
            request.release_version = release.map(str::to_owned);
            run(&request).expect_err("refused")
        };
        assert!(
            with(standalone(), &[("foo.bar", 1)], None)
                .starts_with("Unsupported feature: foo.bar. Supported features are: eligible.")
        );
        assert!(with(standalone(), &[("kraft.version", 0)], None).starts_with("Cannot set kraft.version to 0 if "));
        assert!(
            with(InitialQuorum::Static, &[("kraft.version", 1)], None)
                .starts_with("Cannot set kraft.version to 1 unless ")
        );
        assert!(with(standalone(), &[], Some("4.4")).starts_with("Unknown metadata.version '4.4'."));
        let both = with(standalone(), &[("metadata.version", 21)], Some("4.0"));
        assert_eq!(both, "Use --release-version instead of --feature metadata.version=X to avoid ambiguity.");
        let depends = with(standalone(), &[("eligible.leader.replicas.version", 1)], Some("3.9"));
        assert_eq!(
            depends,
            "eligible.leader.replicas.version could not be set to 1 because it depends on metadata.version level 23"
        );
    }

    #[test]
    fn initial_controllers_are_parsed() {
        let voters = parse_initial_controllers(
            "1@localhost:9093:AAAAAAAAAAAAAAAAAAAAAw,2@[::1]:9094:AAAAAAAAAAAAAAAAAAAABA",
            "C",
        );
        let voters = voters.expect("well formed");
        assert_eq!(voters.0.len(), 2);
        assert_eq!((voters.0[1].endpoints[0].host.as_str(), voters.0[1].endpoints[0].port), ("::1", 9094));
        let error = parse_initial_controllers("1@127.0.0.1", "C").expect_err("no port");
        assert_eq!(error.0, "No colon following hostname could be found.");
    }
}
