//! A certificate authority of the tests' own, made with openssl, and a server that it vouches for.

use std::path::{Path, PathBuf};
use std::process::Command;

pub(crate) struct Authority {
    folder: tempfile::TempDir,
}

impl Authority {
    /// An authority, and the certificate of a server on 127.0.0.1.
    pub(crate) fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("chat-bus-ca-").tempdir().expect("a folder");
        let at = folder.path();
        std::fs::write(at.join("names"), "subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:FALSE\n")
            .expect("written");
        let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
        openssl(at, &format!("req -x509 {key} -keyout ca.key -out ca.pem -days 2 -subj /CN=authority"));
        openssl(at, &format!("req {key} -keyout server.key -out server.csr -subj /CN=redis"));
        let signing = "-CA ca.pem -CAkey ca.key -CAcreateserial -extfile names -days 2";
        openssl(at, &format!("x509 -req -in server.csr -out server.pem {signing}"));
        Self { folder }
    }

    /// The certificate of the authority, in PEM.
    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// What makes a server speak TLS on this port.
    pub(crate) fn arguments(&self, port: u16) -> Vec<String> {
        let file = |name: &str| self.folder.path().join(name).to_str().expect("a plain path").to_owned();
        [
            ("--tls-port", port.to_string()),
            ("--tls-ca-cert-file", file("ca.pem")),
            ("--tls-cert-file", file("server.pem")),
            ("--tls-key-file", file("server.key")),
            ("--tls-auth-clients", "no".into()),
        ]
        .map(|(name, value): (&str, String)| [name.to_owned(), value])
        .concat()
    }
}

fn openssl(folder: &Path, command: &str) {
    let made = Command::new("openssl").args(command.split(' ')).current_dir(folder).output();
    let made = made.expect("openssl is installed");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}
