//! The server's process: started, watched, stopped.

use std::path::Path;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use super::Failure;

/// A running server.
#[derive(Debug)]
pub struct Server {
    child: Child,
    /// Where it listens.
    pub address: String,
}

/// What a process has used so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// Resident memory, in bytes.
    pub resident_bytes: u64,
    /// Processor time of user and system, in seconds.
    pub cpu_seconds: f64,
}

impl Server {
    /// Starts the `chat-server` that was built beside this program on the store in a folder.
    ///
    /// # Errors
    /// There is none, or it does not become ready.
    pub async fn embedded(folder: &Path) -> Result<Self, Failure> {
        Self::start(folder, &["--data", &folder.to_string_lossy()]).await
    }

    /// Starts it with these arguments; its settings are written into the folder.
    ///
    /// # Errors
    /// There is none, or it does not become ready.
    pub async fn start(folder: &Path, arguments: &[&str]) -> Result<Self, Failure> {
        let program = std::env::current_exe()?.with_file_name("chat-server");
        if !program.exists() {
            return Err("build the server first: cargo build --release -p chat-server".into());
        }
        let settings = folder.join("measure.toml");
        std::fs::write(
            &settings,
            "log = \"warn\"\n[rates]\ncommands_per_second = 0\nreads_per_second = 0\n",
        )?;
        let mut child = Command::new(program)
            .arg("--config")
            .arg(&settings)
            .args(["--listen", "127.0.0.1:0"])
            .args(arguments)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let stdout = child.stdout.take().ok_or("no standard output")?;
        let mut lines = BufReader::new(stdout).lines();
        let ready = lines.next_line().await?.ok_or("the server ended before it was ready")?;
        let address = ready.strip_prefix("ready tcp=").ok_or("an unknown first line")?.to_owned();
        Ok(Self { child, address })
    }

    /// What it has used so far.
    ///
    /// # Errors
    /// It has ended.
    pub fn usage(&self) -> Result<Usage, Failure> {
        Usage::of(self.child.id().ok_or("the server has ended")?)
    }

    /// Stops it.
    ///
    /// # Errors
    /// It cannot be waited for.
    pub async fn stop(mut self) -> Result<(), Failure> {
        let id = self.child.id().ok_or("the server has ended")?;
        Command::new("kill").args(["-TERM", &id.to_string()]).status().await?;
        self.child.wait().await?;
        Ok(())
    }
}

impl Usage {
    /// What the process with this id has used so far.
    ///
    /// # Errors
    /// There is none.
    pub fn of(id: u32) -> Result<Self, Failure> {
        let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
        let resident = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .and_then(|value| value.split_whitespace().next())
            .ok_or("no VmRSS")?;
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat"))?;
        let fields: Vec<_> = stat.rsplit_once(')').ok_or("no stat")?.1.split_whitespace().collect();
        // Fields 14 and 15 of proc(5), in ticks of a hundredth of a second.
        let ticks: f64 = fields[11].parse::<f64>()? + fields[12].parse::<f64>()?;
        Ok(Self { resident_bytes: resident.parse::<u64>()? * 1024, cpu_seconds: ticks / 100.0 })
    }
}
