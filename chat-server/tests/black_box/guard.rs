//! Processes that end with this one, however it ends.
//!
//! A shell reads from a pipe which process groups there are. This process alone holds the other end
//! (Rust opens pipes close-on-exec); however it ends, the pipe closes then, and the shell kills what
//! is left. No destructor has to run for that, and no signal handler.

use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};

/// A group is told of with a space on both sides; its end may be told more than once.
const WATCH: &str = r#"
groups=
while read -r change group; do
  case "$change $groups" in
    "begins "*) groups="$groups $group " ;;
    "ended "*" $group "*) groups="${groups%% $group *}${groups#* $group }" ;;
  esac
done
for group in $groups; do kill -KILL "-$group"; done
"#;

/// Starts a process, in a group of its own.
pub(crate) fn spawn(command: &mut Command) -> Child {
    let child = command.process_group(0).spawn().expect("the program is there");
    tell("begins", &child);
    child
}

/// Waits for the end of such a process.
pub(crate) fn wait(child: &mut Child) -> std::process::ExitStatus {
    let status = child.wait().expect("it is ours");
    tell("ended", child);
    status
}

fn tell(change: &str, child: &Child) {
    static SHELL: OnceLock<Mutex<ChildStdin>> = OnceLock::new();
    let shell = SHELL.get_or_init(|| {
        #[expect(clippy::zombie_processes, reason = "it outlives this process")]
        let mut shell = Command::new("sh")
            .args(["-c", WATCH])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // What a terminal sends to this process is not for it.
            .process_group(0)
            .spawn()
            .expect("there is a shell");
        Mutex::new(shell.stdin.take().expect("it is piped"))
    });
    let mut pipe = shell.lock().unwrap_or_else(PoisonError::into_inner);
    writeln!(pipe, "{change} {}", child.id()).expect("the shell reads");
}
