//! TLS to the database, with authorities and certificates of the test's own.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;

use chat_core::store::Store;
use chat_store::mysql::{MysqlOptions, MysqlStore, OpenError};
use mysql_async::prelude::Queryable;

use crate::fixture::{batch, group, message, numbers};
use crate::server::Server;

/// `$1` is the folder: an authority, a certificate of it for the server, and another authority.
const MAKE: &str = r#"
set -e
cd "$1"
key() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1.key"; }
authority() {
    key "$1"
    openssl req -x509 -new -key "$1.key" -days 2 -subj "/CN=$1" -out "$1.pem"
}
authority ours
authority theirs
key server
openssl req -new -key server.key -subj /CN=server -out server.csr
echo 'subjectAltName = IP:127.0.0.1' > server.ext
openssl x509 -req -in server.csr -CA ours.pem -CAkey ours.key -CAcreateserial -days 2 -extfile server.ext \
    -out server.pem
"#;

struct Certificates {
    folder: tempfile::TempDir,
}

impl Certificates {
    fn make() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let made = Command::new("sh").args(["-c", MAKE, "sh"]).arg(folder.path()).output();
        let made = made.expect("there is a shell");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        Self { folder }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

fn trusting(authorities: &Path) -> MysqlOptions {
    let mut options = MysqlOptions::default();
    options.tls_ca = Some(authorities.to_owned());
    options
}

/// What an error says, causes included.
fn told(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| (*error).source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_is_checked_against_the_authorities_given_and_no_others() -> Result<(), Box<dyn Error>> {
    let certificates = Certificates::make();
    let option = |name: &str, file: &str| format!("--{name}={}", certificates.file(file).display());
    let server = Server::start_with(vec![option("ssl-cert", "server.pem"), option("ssl-key", "server.key")]);
    let server = server.await;
    let url = server.database().await;
    let mut admin = server.admin().await;
    admin.query_drop("SET GLOBAL require_secure_transport = ON").await?;

    // What follows succeeds by TLS, since nothing else does.
    let plain = MysqlStore::connect(&url, &MysqlOptions::default()).await;
    assert!(matches!(plain, Err(OpenError::Database(_))), "{plain:?}");

    let refused = MysqlStore::connect(&url, &trusting(&certificates.file("theirs.pem"))).await;
    let refused = refused.expect_err("another authority");
    assert!(matches!(refused, OpenError::Database(_)));
    assert!(told(&refused).contains("certificate"), "{}", told(&refused));

    let missing = certificates.file("missing.pem");
    let refused = MysqlStore::connect(&url, &trusting(&missing)).await.expect_err("no such file");
    assert!(matches!(&refused, OpenError::Authorities { file, .. } if *file == missing), "{refused}");

    // A name that the certificate does not have.
    let options = trusting(&certificates.file("ours.pem"));
    let refused = MysqlStore::connect(&url.replace("127.0.0.1", "localhost"), &options).await;
    let refused = refused.expect_err("another name");
    assert!(told(&refused).contains("certificate"), "{}", told(&refused));

    let store = MysqlStore::connect(&url, &options).await?;
    store.commit(&batch(1, 1, vec![message(1, group(1))])).await?;
    assert_eq!(numbers(&store, group(1)).await?, [1]);
    Ok(())
}
