//! The server's binary, for tests of other crates than its own.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Set where the tests of the whole workspace run: cargo has built the server by then.
const IS_BUILT: &str = "E2E_SERVER_IS_BUILT";

/// The server's binary, built once per run of the tests into the folder of a binary of the tests' own.
pub(crate) fn beside(own: &str) -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        let own = Path::new(own);
        let server = own.with_file_name(format!("chat-server{}", std::env::consts::EXE_SUFFIX));
        if std::env::var_os(IS_BUILT).is_some() && server.exists() {
            return server;
        }
        let folder = own.parent().expect("a binary is in a folder");
        let profile = match folder.file_name().and_then(|name| name.to_str()) {
            Some("debug") | None => "dev",
            Some(profile) => profile,
        };
        let target = folder.parent().expect("a profile is in a target folder");
        let built = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--package", "chat-server", "--bin", "chat-server"])
            .args(["--profile", profile])
            .arg("--target-dir")
            .arg(target)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .status();
        assert!(built.expect("cargo runs").success(), "the server builds");
        server
    })
}
