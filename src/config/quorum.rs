//! The addresses of the controller quorum: `controller.quorum.voters` and `controller.quorum.bootstrap.servers`.

use super::value::ConfigError;

/// One entry of `controller.quorum.voters`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Voter {
    /// Node id of the controller.
    pub id: i32,
    /// Its host name or address, without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
}

/// Reads `id@host:port`.
pub fn parse_voter(text: &str) -> Result<Voter, ConfigError> {
    let (id, address) = text.split_once('@').ok_or_else(|| {
        ConfigError::rule(
            "Invalid configuration value for controller.quorum.voters. Each entry should be in the form `{id}@{host}:{port}`.",
        )
    })?;
    let id = id.parse().map_err(|_| ConfigError::rule(format!("Failed to parse voter ID as an integer from {id}")))?;
    let (host, port) = split_host_port(address).ok_or_else(|| {
        ConfigError::rule(format!(
            "Failed to parse host name from entry {text} for the configuration controller.quorum.voters. Each entry should be \
             in the form `{{id}}@{{host}}:{{port}}`."
        ))
    })?;
    if host == "0.0.0.0" {
        return Err(ConfigError::rule(format!("Host string ({host}) is not routeable")));
    }
    Ok(Voter { id, host: host.to_owned(), port })
}

/// Reads `host:port`.
pub fn parse_bootstrap_server(text: &str) -> Result<(String, u16), ConfigError> {
    let (host, port) = split_host_port(text).ok_or_else(|| {
        ConfigError::rule(format!(
            "Failed to parse host name from {text} for the configuration controller.quorum.bootstrap.servers. Each entry should \
             be in the form \"{{host}}:{{port}}\""
        ))
    })?;
    Ok((host.to_owned(), port))
}

/// `host:port` or `[v6 address]:port`; the host may be empty.
pub(super) fn split_host_port(text: &str) -> Option<(&str, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let host = host.strip_prefix('[').unwrap_or(host);
    let host = host.strip_suffix(']').unwrap_or(host);
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-%._:".contains(&byte);
    (host.bytes().all(allowed) && !port.starts_with('+')).then_some(())?;
    Some((host, port.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn voters_are_read_as_kafka_reads_them() {
        let voter = Voter { id: 1, host: "localhost".into(), port: 9093 };
        assert_eq!(parse_voter("1@localhost:9093"), Ok(voter));
        assert_eq!(parse_voter("2@[::1]:9093").expect("valid").host, "::1");
        let text = |entry| parse_voter(entry).expect_err("invalid").to_string();
        assert_eq!(text("x@localhost:9093"), "Failed to parse voter ID as an integer from x");
        assert_eq!(text("1@0.0.0.0:0"), "Host string (0.0.0.0) is not routeable");
        assert!(text("1@foo").starts_with("Failed to parse host name from entry 1@foo for the configuration"));
        assert!(text("localhost:9093").starts_with("Invalid configuration value for controller.quorum.voters."));
        assert!(parse_bootstrap_server("foo").is_err());
    }
}
