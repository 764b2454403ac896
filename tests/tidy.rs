//! Rules of the house that no compiler checks: who may import whom, who may name the runtime, how long a file may grow, that what
//! users can set, see or call is documented, that documents lead where they say, and that the patches of the torture's proof fit the code.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A file longer than this wants a second idea of its own.
const LINES_MAX: usize = 620;

/// Folders of `src/` and what of the house they may import; what is not listed may import anything.
const IMPORTS: &[(&str, &[&str])] = &[
    ("wire", &["wire"]),
    ("rt", &["rt"]),
    ("metrics", &["metrics", "rt"]),
    ("config", &["config"]),
    ("protocol", &["protocol", "wire"]),
    ("record", &["record", "wire"]),
    ("wal", &["wal", "record", "rt", "config", "metrics", "wire"]),
    ("log", &["log", "wal", "record", "rt", "config", "metrics", "wire"]),
    ("partition", &["partition", "log", "wal", "record", "rt", "config", "metrics", "wire", "protocol"]),
    ("coordinator", &["coordinator", "record", "protocol", "wire"]),
    ("metadata", &["metadata", "protocol", "log", "record", "rt", "config", "wire"]),
    ("capture", &["capture", "record", "rt"]),
    ("ui", &["ui", "bench", "capture", "cli", "client", "metrics", "protocol", "record", "wire"]),
    ("rest", &["rest", "ui", "client", "cli", "http", "metrics", "protocol", "record", "wire"]),
    ("bench", &["bench", "capture", "client", "protocol", "record", "rt", "wire", "config"]),
];

/// What only `rt/` may name.
const RUNTIME_WORDS: &[&str] = &["glommio", "io_uring::", "libc::", "epoll_"];

fn sources(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).expect("the checkout is readable") {
        let path = entry.expect("the checkout is readable").path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The room of a file below `src/`: its first folder, or its own name.
fn room(path: &Path) -> String {
    let inside = path.strip_prefix(root().join("src")).expect("a file of src/");
    let first = inside.components().next().expect("a file has a name");
    first.as_os_str().to_string_lossy().trim_end_matches(".rs").to_owned()
}

/// The lines that are code: without comments, and without the unit tests at the end.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .take_while(|line| !line.starts_with("#[cfg(test)]"))
        .filter(|line| !line.trim_start().starts_with("//"))
}

#[test]
fn imports_go_one_way() {
    let mut wrong = Vec::new();
    for path in sources(&root().join("src")) {
        let room = room(&path);
        let Some((_, allowed)) = IMPORTS.iter().find(|(name, _)| *name == room) else { continue };
        if path.to_string_lossy().contains("test") {
            continue;
        }
        let text = fs::read_to_string(&path).expect("the checkout is readable");
        for line in code(&text) {
            for used in line.split("crate::").skip(1) {
                let used: String = used.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                let is_room =
                    root().join("src").join(&used).exists() || root().join("src").join(format!("{used}.rs")).exists();
                if is_room && !allowed.contains(&used.as_str()) {
                    wrong.push(format!("{} imports {used}", path.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "imports against the direction of the house:\n{}", wrong.join("\n"));
}

#[test]
fn only_the_runtime_names_the_runtime() {
    let mut wrong = Vec::new();
    for path in sources(&root().join("src")).into_iter().filter(|path| room(path) != "rt") {
        let text = fs::read_to_string(&path).expect("the checkout is readable");
        for (number, line) in text.lines().enumerate() {
            let is_comment = line.trim_start().starts_with("//");
            if !is_comment && RUNTIME_WORDS.iter().any(|word| line.contains(word)) {
                wrong.push(format!("{}:{}: {}", path.display(), number + 1, line.trim()));
            }
        }
    }
    assert!(wrong.is_empty(), "only src/rt/ may say these:\n{}", wrong.join("\n"));
}

#[test]
fn files_stay_readable() {
    let mut long = Vec::new();
    for path in sources(&root().join("src")) {
        let lines = fs::read_to_string(&path).expect("the checkout is readable").lines().count();
        if lines > LINES_MAX {
            long.push(format!("{}: {lines} lines", path.display()));
        }
    }
    assert!(long.is_empty(), "longer than {LINES_MAX} lines:\n{}", long.join("\n"));
}

#[test]
fn every_module_says_what_it_is() {
    for path in sources(&root().join("src")) {
        let text = fs::read_to_string(&path).expect("the checkout is readable");
        assert!(text.starts_with("//!"), "{} has no module documentation", path.display());
    }
}

#[test]
fn every_command_is_in_the_readme() {
    let readme = fs::read_to_string(root().join("README.md")).expect("there is a README");
    for command in millrace::cli::COMMANDS {
        assert!(readme.contains(&format!("`{}`", command.name)), "the README does not name `{}`", command.name);
    }
}

/// The lines of a document outside of its code blocks.
fn prose(text: &str) -> Vec<&str> {
    let mut in_code = false;
    let is_prose = |line: &&str| {
        let is_fence = line.trim_start().starts_with("```");
        in_code ^= is_fence;
        !in_code && !is_fence
    };
    text.lines().filter(is_prose).collect()
}

/// The name by which a link leads to a heading, as GitHub makes it.
fn anchor(heading: &str) -> String {
    let kept = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = kept.chars().filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[test]
fn links_between_documents_lead_somewhere() {
    let listed =
        Command::new("git").current_dir(root()).args(["ls-files", "-co", "--exclude-standard", "*.md"]).output();
    let listed = String::from_utf8(listed.expect("git runs").stdout).expect("names are UTF-8");
    let link = regex::Regex::new(r"\]\(([^)\s#]*)(?:#([^)\s]*))?\)").expect("it is well-formed");
    let (mut wrong, mut followed) = (Vec::new(), 0);
    for document in listed.lines() {
        let text = fs::read_to_string(root().join(document)).expect("the checkout is readable");
        for captures in prose(&text).into_iter().flat_map(|line| link.captures_iter(line)) {
            let target = &captures[1];
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            followed += 1;
            let path = match target {
                "" => root().join(document),
                target => root().join(document).parent().expect("a file has one").join(target),
            };
            let leads = captures.get(2).is_none_or(|wanted| {
                let there = fs::read_to_string(&path).unwrap_or_default();
                prose(&there).iter().any(|line| line.starts_with('#') && anchor(line) == wanted.as_str())
            });
            if !path.exists() || !leads {
                wrong.push(format!("{document}: {}", &captures[0]));
            }
        }
    }
    assert!(followed > 20 && wrong.is_empty(), "of {followed} links these lead nowhere:\n{}", wrong.join("\n"));
}

#[test]
fn patches_that_break_the_broker_still_apply() {
    let patches = fs::read_dir(root().join("tests/torture/broken")).expect("the checkout is readable");
    let patches: Vec<PathBuf> = patches.map(|entry| entry.expect("the checkout is readable").path()).collect();
    let patches: Vec<&PathBuf> =
        patches.iter().filter(|path| path.extension().is_some_and(|it| it == "patch")).collect();
    assert!(!patches.is_empty());
    for patch in patches {
        let checked = Command::new("git").current_dir(root()).args(["apply", "--check"]).arg(patch).output();
        let checked = checked.expect("git runs");
        assert!(checked.status.success(), "{}: {}", patch.display(), String::from_utf8_lossy(&checked.stderr));
    }
}
