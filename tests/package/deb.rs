//! The package under test: by `deploy/deb.sh` around the binary of these tests, and once more with a higher version.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use super::support::install::{installed, run};

/// What makes packages.
const CARGO_DEB: &str = "3.8.0";

/// The package of this checkout.
pub static PACKAGE: LazyLock<PathBuf> = LazyLock::new(|| {
    let cargo_deb = installed("cargo-deb", CARGO_DEB, |home| {
        let mut install = Command::new(env!("CARGO"));
        // Without its own compression library and debug ids: half the time.
        install.args(["install", "cargo-deb", "--version", CARGO_DEB, "--locked", "--no-default-features", "--debug"]);
        install.arg("--root").arg(home).arg("--target-dir").arg(home.join("build"));
        run(&mut install)?;
        fs::remove_dir_all(home.join("build")).map_err(|error| error.to_string())
    });
    let out = directory();
    let path = format!("{}:{}", cargo_deb.join("bin").display(), env::var("PATH").unwrap_or_default());
    let mut script = Command::new("deploy/deb.sh");
    script.arg(env!("CARGO_BIN_EXE_millrace")).arg(&out).arg("--fast").env("PATH", path);
    said(&mut script);
    let mut made = fs::read_dir(&out).expect("it was made").flatten().map(|entry| entry.path());
    let package = made.next().expect("deploy/deb.sh makes a package");
    assert_eq!(made.next(), None, "and only one");
    package
});

/// The same with a higher version and another `server.properties`.
pub static NEXT: LazyLock<PathBuf> = LazyLock::new(|| {
    let (tree, next) = (directory().with_extension("next"), directory().with_extension("next.deb"));
    let _ = fs::remove_dir_all(&tree);
    said(Command::new("dpkg-deb").arg("--raw-extract").args([&*PACKAGE, &tree]));
    let change = |file: &str, change: &dyn Fn(&str) -> String| {
        let path = tree.join(file);
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{file}: {error}"));
        fs::write(&path, change(&text)).expect("it is ours");
    };
    change("DEBIAN/control", &|text| {
        let lines = text.lines().map(|line| if line.starts_with("Version: ") { "Version: 99.0-1" } else { line });
        lines.map(|line| format!("{line}\n")).collect()
    });
    change("etc/millrace/server.properties", &|text| format!("{text}# The next version says more.\n"));
    said(Command::new("dpkg-deb").args(["-Zgzip", "-z1", "--build"]).args([&tree, &next]));
    next
});

fn directory() -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("package");
    static EMPTY: LazyLock<()> = LazyLock::new(|| {
        let _ = fs::remove_dir_all(Path::new(env!("CARGO_TARGET_TMPDIR")).join("package"));
    });
    LazyLock::force(&EMPTY);
    directory
}

/// What a command prints that must succeed.
pub fn said(command: &mut Command) -> String {
    run(command).unwrap_or_else(|problem| panic!("{problem}"))
}
