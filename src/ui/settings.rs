//! What the UI is told at its start, and the rule of who may change things.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::client::ClientConfig;

/// A cluster to show.
#[derive(Clone, Debug)]
pub struct ClusterSettings {
    /// What people call it.
    pub name: String,
    /// How to reach it.
    pub client: ClientConfig,
    /// Nothing of it may be changed.
    pub read_only: bool,
}

/// Settings of the UI.
#[derive(Clone, Debug)]
pub struct UiSettings {
    /// The clusters in the order in which they are shown; the first is the Millrace of this process, if there is one.
    pub clusters: Vec<ClusterSettings>,
    /// Whether the pages may change things; `None`: when there is a login, or only this machine can reach them.
    pub read_only: Option<bool>,
    /// File with lines `name:hash`.
    pub users_file: Option<PathBuf>,
    /// A token that logs in whoever has it.
    pub token: Option<String>,
    /// The address that the HTTP port listens on.
    pub listener: SocketAddr,
    /// Where `millrace bench` leaves its directories.
    pub bench_dir: PathBuf,
}

/// Whether things may be changed, or the sentence that says why not.
pub type Changes = Result<(), &'static str>;

impl UiSettings {
    /// Whether somebody has to log in.
    pub fn has_login(&self) -> bool {
        self.users_file.is_some() || self.token.is_some()
    }

    /// Whether the pages may change things at all.
    pub fn changes(&self) -> Changes {
        match self.read_only {
            Some(true) => Err("this UI is read-only: nothing can be changed here"),
            Some(false) => Ok(()),
            None if self.has_login() || self.listener.ip().is_loopback() => Ok(()),
            None => Err("nothing can be changed here: the UI listens on a network address and has no login. \
                         Give it a users file or a token (millrace.ui.users.file, millrace.ui.token; --users-file, --token-file), \
                         or say that anybody may change things (millrace.ui.read.only=false, --allow-changes)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_address_without_login_is_read_only_unless_told_otherwise() {
        let mut settings = UiSettings {
            clusters: Vec::new(),
            read_only: None,
            users_file: None,
            token: None,
            listener: SocketAddr::from(([127, 0, 0, 1], 8080)),
            bench_dir: PathBuf::from("."),
        };
        assert!(settings.changes().is_ok());
        settings.listener = SocketAddr::from(([0, 0, 0, 0], 8080));
        assert!(settings.changes().is_err_and(|why| why.contains("millrace.ui.token")));
        settings.token = Some("secret".to_owned());
        assert!(settings.changes().is_ok());
        settings.read_only = Some(true);
        assert!(settings.changes().is_err());
        settings = UiSettings { token: None, read_only: Some(false), ..settings };
        assert!(settings.changes().is_ok());
    }
}
