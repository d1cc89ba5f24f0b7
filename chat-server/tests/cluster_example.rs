//! `examples/cluster`: the command starts a cluster that chats, and leaves nothing behind; its nginx
//! cuts nobody who is merely idle.

#![cfg(unix)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::future::Future;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use chat_core::{
    AccountName, Body, ConversationId, Credentials, Outgoing, Password, Register, Send, Seq, UserId,
};
use chat_proto::client::{Account, Client, ClientConfig, ClientEvent, ClientEvents};
use tokio::net::TcpStream;
use tokio::time::timeout;

const PASSWORD: &str = "correct horse";

/// Nothing here takes that long, unless it hangs.
const PATIENCE: Duration = Duration::from_secs(180);

/// How long between two looks at what can only be looked at.
const LOOK: Duration = Duration::from_millis(20);

/// Runs the arguments until standard input ends, however that comes about, and then stops them with
/// SIGTERM. Nothing of the shell's keeps their standard output open.
const WATCHED: &str = r#"
"$@" &
running=$!
exec > /dev/null
read -r end
kill -TERM $running
wait $running
"#;

async fn in_time<T>(what: &str, coming: impl Future<Output = T>) -> T {
    match timeout(PATIENCE, coming).await {
        Ok(came) => came,
        Err(_) => panic!("waited in vain: {what}"),
    }
}

/// Ports that are free, below the range of outgoing connections: nothing takes them by chance before
/// they are listened at.
fn free_ports<const COUNT: usize>() -> [u16; COUNT] {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    std::array::from_fn(|_| {
        loop {
            let turn = std::process::id().wrapping_mul(7919) + NEXT.fetch_add(1, Ordering::Relaxed);
            let port = u16::try_from(12_000 + turn % 18_000).expect("below 30,000");
            if TcpListener::bind(("127.0.0.1", port)).is_ok() {
                return port;
            }
        }
    })
}

fn example(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/cluster").join(file)
}

/// A program that is stopped when this is dropped, or this process ends.
struct Watched {
    shell: Child,
    pipe: Option<ChildStdin>,
}

impl Watched {
    /// Starts it, with these variables in place of all settings of servers that this process has.
    fn start(program: &Path, arguments: &[&str], variables: &[(&str, String)]) -> Self {
        let mut command = Command::new("sh");
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("CHAT_")) {
            command.env_remove(name);
        }
        let mut shell = command
            .args(["-c", WATCHED, "sh"])
            .arg(program)
            .args(arguments)
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("there is a shell");
        let pipe = shell.stdin.take();
        Self { shell, pipe }
    }

    /// What it writes to standard output, up to the first line that begins so.
    fn lines_until(&mut self, last: &str) -> Vec<String> {
        let mut output = BufReader::new(self.shell.stdout.take().expect("it is piped")).lines();
        let mut lines = Vec::new();
        while !lines.last().is_some_and(|line: &String| line.starts_with(last)) {
            let Some(line) = output.next() else { panic!("it ended before {last:?}:\n{}", lines.join("\n")) };
            lines.push(line.expect("text"));
        }
        // What comes later finds somebody who reads it.
        std::thread::spawn(move || output.for_each(drop));
        lines
    }

    /// Stops it with SIGTERM and waits for its end.
    fn stop(mut self) -> ExitStatus {
        self.pipe = None;
        self.shell.wait().expect("it is ours")
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.pipe = None;
        let _ended = self.shell.wait();
    }
}

/// What the command has started.
struct Cluster {
    running: Watched,
    /// Of nginx, the nodes, MariaDB and Redis.
    ports: [u16; 6],
    /// By name, as the command printed them.
    processes: Vec<(String, String)>,
}

impl Cluster {
    fn start(folder: &Path, ports: [u16; 6]) -> Self {
        let [nginx, node1, node2, node3, mariadb, redis] = ports;
        let folder = folder.to_str().expect("a path in Unicode");
        let mut running = Watched::start(
            &example("run"),
            &[folder],
            &[
                ("CHAT_SERVER_BIN", env!("CARGO_BIN_EXE_chat-server").into()),
                ("CHAT_ACCOUNTS_PASSWORD_MEMORY_KIB", "8".into()),
                ("CHAT_LOG", "info,chat_server=debug".into()),
                ("CLUSTER_PORT", nginx.to_string()),
                ("CLUSTER_NODE_PORTS", format!("{node1} {node2} {node3}")),
                ("CLUSTER_MARIADB_PORT", mariadb.to_string()),
                ("CLUSTER_REDIS_PORT", redis.to_string()),
            ],
        );
        let said = running.lines_until("Ctrl-C stops everything");
        let address = format!("    127.0.0.1:{nginx}");
        assert!(said.contains(&address), "where to connect to: {said:?}");
        let processes = said.iter().find_map(|line| line.strip_prefix("Processes:")).expect("it says which");
        let words: Vec<_> = processes.split_whitespace().collect();
        let processes = words.chunks(2).map(|pair| (pair[0].to_owned(), pair[1].to_owned())).collect();
        Self { running, ports, processes }
    }

    /// Through nginx.
    fn address(&self) -> String {
        at(self.ports[0])
    }

    fn nodes(&self) -> [String; 3] {
        [at(self.ports[1]), at(self.ports[2]), at(self.ports[3])]
    }

    fn kill(&self, part: &str) {
        let process = self.processes.iter().find(|(name, _)| name == part).expect("it runs");
        let killed = Command::new("kill").args(["-KILL", &process.1]).status();
        assert!(killed.expect("kill runs").success());
    }

    /// Stops all, which must leave nothing.
    fn stop(self) {
        let Self { running, ports, processes } = self;
        assert_eq!(running.stop().code(), Some(0));
        for port in ports {
            std::net::TcpStream::connect(("127.0.0.1", port)).expect_err("nobody listens");
        }
        // Each part has a session of its own, in which also what it started is.
        let sessions: BTreeSet<_> = processes.into_iter().map(|(_, process)| process).collect();
        assert_eq!(sessions.len(), 6);
        for process in fs::read_dir("/proc").expect("Linux").flatten() {
            // Others end while we look.
            let status = fs::read_to_string(process.path().join("stat")).unwrap_or_default();
            let after_name = status.rsplit(')').next().unwrap_or_default();
            let session = after_name.split_whitespace().nth(3).unwrap_or_default();
            assert!(!sessions.contains(session), "left running: {status}");
        }
    }
}

fn at(port: u16) -> String {
    format!("127.0.0.1:{port}")
}

/// A client that does not wait long before it comes back.
fn config(address: &str) -> ClientConfig {
    let mut config = ClientConfig::new(address);
    config.backoff.first = Duration::from_millis(20);
    config.backoff.max = Duration::from_millis(200);
    config.request_timeout = PATIENCE;
    config
}

async fn join(address: &str, name: &str) -> (Client, ClientEvents, Account) {
    let (client, events) = Client::connect(config(address)).await.expect("somebody accepts");
    let registration = Register {
        client_id: client.new_id(),
        name: AccountName::parse(name).expect("a name"),
        display_name: None,
        password: Password::new(PASSWORD),
        device_label: "test".into(),
    };
    let account = client.register(registration).await.expect("a new account");
    (client, events, account)
}

async fn say(client: &Client, to: UserId, text: &str) -> Seq {
    let conversation = ConversationId::direct(client.user().expect("logged in"), to).expect("two users");
    let message = Outgoing::Message { body: Body::Text(text.into()), reply_to: None };
    let send = Send { client_id: client.new_id(), conversation, message, read_up_to: None };
    client.send(send).await.expect("stored").seq
}

async fn hears(events: &mut ClientEvents, of: ConversationId, seq: Seq) {
    in_time("an entry", async {
        loop {
            match events.next().await.expect("the client goes on") {
                ClientEvent::Entry { conversation, entry } if (conversation, entry.seq) == (of, seq) => {
                    return;
                }
                ClientEvent::Ended(reason) => panic!("the client ended: {reason:?}"),
                ClientEvent::GaveUp(error) => panic!("the client gave up: {error}"),
                _ => {}
            }
        }
    })
    .await;
}

async fn all_hear(from: &Client, others: &mut [(Client, ClientEvents, Account)], text: &str) {
    let own = from.user().expect("logged in");
    for (_, events, account) in others {
        let seq = say(from, account.user, text).await;
        hears(events, ConversationId::direct(own, account.user).expect("two users"), seq).await;
    }
}

/// Which client was served by which node, of the connections through nginx that are over.
fn served(folder: &Path) -> BTreeMap<String, String> {
    let log = fs::read_to_string(folder.join("logs/sessions.log")).unwrap_or_default();
    let sessions = log.lines().filter(|line| !line.contains(" 0 received"));
    let pairs = sessions.filter_map(|line| {
        let (client, nodes) = line.split_once(" for ")?.0.split_once(" on ")?;
        // The last node is the one that took it; before it stand those that did not answer.
        Some((client.split(' ').next_back()?.to_owned(), nodes.rsplit(", ").next()?.to_owned()))
    });
    pairs.collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_command_starts_a_cluster_that_chats_survives_a_node_and_leaves_nothing_running() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let ports = free_ports();
    let cluster = Cluster::start(folder.path(), ports);

    // Through nginx, from one address, more than there are nodes; and one user on each node.
    let mut others = Vec::new();
    for number in 0..5 {
        others.push(join(&cluster.address(), &format!("user{number}")).await);
    }
    for (number, node) in cluster.nodes().iter().enumerate() {
        others.push(join(node, &format!("direct{number}")).await);
    }
    let (ada, _events, _) = join(&cluster.address(), "ada").await;
    all_hear(&ada, &mut others, "hello").await;

    // nginx writes a line when a connection ends.
    others.truncate(5);
    cluster.kill("node1");
    all_hear(&ada, &mut others, "still there?").await;
    for (client, _, _) in &others {
        client.close().await;
    }
    ada.close().await;
    let expected: BTreeSet<_> = cluster.nodes().into_iter().collect();
    in_time("clients of one address are on all nodes", async {
        while served(folder.path()).into_values().collect::<BTreeSet<_>>() != expected {
            tokio::time::sleep(LOOK).await;
        }
    })
    .await;
    let nodes = cluster.nodes();
    cluster.stop();

    // Nodes know their clients by the addresses that nginx knows, but for the one that was killed.
    let log =
        |node: &str| fs::read_to_string(folder.path().join(format!("logs/{node}.log"))).expect("it logs");
    let logs = ["node2", "node3"].map(log).concat();
    for (client, _) in served(folder.path()).iter().filter(|(_, node)| **node != nodes[0]) {
        assert!(logs.contains(&format!("peer={client} ")), "{client} in:\n{logs}");
    }
    assert!(!logs.contains("peer=127.0.0.2:"), "{logs}");

    // Accounts are still there the next time.
    let cluster = Cluster::start(folder.path(), ports);
    let (ada, _events) = Client::connect(config(&cluster.address())).await.expect("somebody accepts");
    let name = AccountName::parse("ada").expect("a name");
    let credentials =
        Credentials::Password { name, password: Password::new(PASSWORD), device_label: "test".into() };
    ada.login(credentials).await.expect("the account is there");
    cluster.stop();
}

/// A server on its own store, and the example's nginx in front of it, less patient.
struct Site {
    _nginx: Watched,
    _server: Watched,
    _folder: tempfile::TempDir,
    address: String,
}

impl Site {
    async fn start(ping_interval_ms: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let data = folder.path().join("data");
        let mut server = Watched::start(
            env!("CARGO_BIN_EXE_chat-server").as_ref(),
            &["--listen", "127.0.0.1:0", "--data", data.to_str().expect("a path in Unicode")],
            &[
                ("CHAT_LOG", "warn".into()),
                ("CHAT_PROXIES", "127.0.0.2".into()),
                ("CHAT_CONNECTIONS_PING_INTERVAL_MS", ping_interval_ms.into()),
                ("CHAT_ACCOUNTS_PASSWORD_MEMORY_KIB", "8".into()),
            ],
        );
        let ready = server.lines_until("ready tcp=").pop().expect("that line");
        let node = ready.trim_start_matches("ready tcp=");
        let [port] = free_ports();
        let text = fs::read_to_string(example("nginx.conf")).expect("the example");
        assert!(text.contains("proxy_timeout 90s;"));
        let module = "/usr/lib/nginx/modules/ngx_stream_module.so";
        fs::create_dir(folder.path().join("logs")).expect("a new folder");
        let text = text
            .replace("@LOAD_STREAM_MODULE@", &format!("load_module {module};"))
            .replace("@FOLDER@", folder.path().to_str().expect("a path in Unicode"))
            .replace("@OPEN_FILES@", "1000")
            .replace("@CONNECTIONS@", "500")
            .replace("@LISTEN@", &at(port))
            .replace("@NGINX_ADDRESS@", "127.0.0.2")
            .replace("error_log stderr notice;", "error_log stderr warn;")
            .replace("proxy_timeout 90s;", "proxy_timeout 4s;");
        let text = ["@NODE1@", "@NODE2@", "@NODE3@"].iter().fold(text, |text, name| text.replace(name, node));
        let file = folder.path().join("nginx.conf");
        fs::write(&file, text).expect("it can be written to");
        let arguments = ["-p", "/", "-e", "stderr", "-c", file.to_str().expect("a path in Unicode")];
        let nginx = ["/usr/sbin/nginx", "/usr/bin/nginx"].into_iter().find(|file| Path::new(file).exists());
        let nginx = Watched::start(nginx.expect("nginx is installed").as_ref(), &arguments, &[]);
        in_time("nginx", async {
            while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
                tokio::time::sleep(LOOK).await;
            }
        })
        .await;
        Self { _nginx: nginx, _server: server, _folder: folder, address: at(port) }
    }
}

/// Fault 17: nginx cut who was idle.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_idle_for_longer_than_the_proxy_waits_stays_connected() {
    let (kept, cut) = tokio::join!(Site::start("1000"), Site::start("600000"));
    let (_kept, mut events, _) = join(&kept.address, "ada").await;
    let (_cut, mut cut_events, _) = join(&cut.address, "ada").await;
    // The measure of time is another one who gives no sign of life, and is cut again and again.
    for _ in 0..2 {
        in_time("nginx cuts who is silent", async {
            while !matches!(cut_events.next().await, Some(ClientEvent::Disconnected { .. })) {}
        })
        .await;
    }
    while let Some(event) = events.try_next() {
        assert!(!matches!(event, ClientEvent::Disconnected { .. }), "it was cut");
    }
}
