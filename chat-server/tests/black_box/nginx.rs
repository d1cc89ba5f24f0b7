//! nginx in front of the nodes.

use std::fs;
use std::io::Read as _;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::guard;
use super::ports::quiet_port;

/// How long it may take until a configuration is in force.
const PATIENCE: Duration = Duration::from_secs(90);

/// Where it connects to nodes from: who connects to them directly is another.
pub(crate) const FROM: &str = "127.0.0.2";

/// A balancer of connections, in turn over the nodes; ended when it is dropped.
///
/// It tells nodes with the PROXY protocol who has connected. At a second port it says which of its configurations is in force.
pub(crate) struct Nginx {
    child: Child,
    folder: PathBuf,
    port: u16,
    says: u16,
    configuration: AtomicU32,
}

impl Nginx {
    /// In front of nodes at these addresses.
    pub(crate) fn start(folder: &Path, nodes: &[String]) -> Self {
        let (port, says) = (quiet_port(), quiet_port());
        write(folder, port, says, 1, nodes);
        let log = fs::File::create(folder.join("nginx.log")).expect("a log");
        let child = guard::spawn(
            Command::new("nginx")
                .args(["-e", "stderr", "-c"])
                .arg(folder.join("nginx.conf"))
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(log),
        );
        let nginx = Self { child, folder: folder.to_owned(), port, says, configuration: 1.into() };
        nginx.reaches(1);
        nginx
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// From now on in front of these: connections that there are are cut within a second.
    pub(crate) fn reload(&self, nodes: &[String]) {
        let number = self.configuration.fetch_add(1, Ordering::Relaxed) + 1;
        write(&self.folder, self.port, self.says, number, nodes);
        let told = Command::new("kill").args(["-HUP", &self.child.id().to_string()]).status();
        assert!(told.expect("kill runs").success(), "nginx runs");
        self.reaches(number);
    }

    /// Ends what serves the connections as a crash does; another one begins at once.
    pub(crate) fn kill_worker(&self) {
        let children = format!("/proc/{0}/task/{0}/children", self.child.id());
        let workers = fs::read_to_string(children).expect("nginx runs");
        let killed = Command::new("kill").arg("-KILL").args(workers.split_whitespace()).status();
        assert!(killed.expect("kill runs").success(), "a worker runs");
        self.reaches(self.configuration.load(Ordering::Relaxed));
    }

    fn reaches(&self, number: u32) {
        let deadline = Instant::now() + PATIENCE;
        while self.said().is_none_or(|said| said != number.to_string()) {
            let log = || fs::read_to_string(self.folder.join("nginx.log")).unwrap_or_default();
            assert!(Instant::now() < deadline, "nginx does not come up: {}", log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn said(&self) -> Option<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.says)).ok()?;
        let mut said = String::new();
        stream.read_to_string(&mut said).ok().map(|_| said)
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Its workers are in its group.
        let group = format!("-{}", self.child.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
        guard::wait(&mut self.child);
    }
}

fn write(folder: &Path, port: u16, says: u16, number: u32, nodes: &[String]) {
    let servers: String = nodes.iter().map(|node| format!("server {node} max_fails=0; ")).collect();
    let configuration = format!(
        "load_module /usr/lib/nginx/modules/ngx_stream_module.so;
daemon off;
pid {}/nginx.pid;
error_log stderr;
worker_processes 1;
worker_rlimit_nofile 20000;
worker_shutdown_timeout 1s;
events {{ worker_connections 8192; }}
stream {{
    upstream nodes {{ {servers} }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        proxy_pass nodes;
        proxy_connect_timeout 1s;
        proxy_timeout 10m;
        proxy_half_close on;
        proxy_protocol on;
        proxy_bind {FROM};
    }}
    server {{ listen 127.0.0.1:{says}; return {number}; }}
}}
",
        folder.display()
    );
    fs::write(folder.join("nginx.conf"), configuration).expect("it can be written to");
}
