//! Records: what was tampered with is found, and what breaks off is checked as far as it goes.

use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use chat_benches::load::check::{Checked, check};
use chat_core::Epoch;
use chat_core::memory::MemoryStore;
use serde_json::Value;

use crate::harness::{Server, chat_load, report, start};

/// The lines of one run's record.
fn recorded() -> &'static [String] {
    static RECORD: OnceLock<Vec<String>> = OnceLock::new();
    RECORD.get_or_init(|| {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let text = runtime.expect("a runtime").block_on(async {
            let folder = tempfile::tempdir().expect("a folder");
            let server = Server::start(MemoryStore::new(Epoch(1))).await;
            let record = folder.path().join("record");
            let more = ["--clients", "4", "--rate", "100", "--record", record.to_str().expect("a path")];
            let (status, _) = report(&server.address, "direct", &more).await;
            assert_eq!(status, Some(0));
            server.stop().await;
            std::fs::read_to_string(&record).expect("a record")
        });
        text.lines().map(str::to_owned).collect()
    })
}

fn checked(text: &str) -> Checked {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("record");
    std::fs::write(&file, text).expect("written");
    check(&file).expect("it can be read")
}

fn kinds(checked: &Checked) -> Vec<&'static str> {
    let mut kinds: Vec<_> = checked.violations.iter().map(|violation| violation.kind.word()).collect();
    kinds.sort_unstable();
    kinds.dedup();
    kinds
}

/// What is found when the lines were changed.
fn doctored(change: impl FnOnce(&mut Vec<String>)) -> Checked {
    let mut lines = recorded().to_vec();
    change(&mut lines);
    let checked = checked(&(lines.join("\n") + "\n"));
    assert!(!checked.is_clean(), "it is found");
    checked
}

fn parsed(line: &str) -> Value {
    serde_json::from_str(line).expect("a line is an object")
}

/// A line of this sort in the middle of them.
fn middle(lines: &[String], sort: &str) -> usize {
    let of_sort: Vec<_> = (0..lines.len()).filter(|line| parsed(&lines[*line])["r"] == sort).collect();
    of_sort[of_sort.len() / 2]
}

/// The first line of this sort and the next one that tells the same of the same place and client.
fn two_alike(lines: &[String], sort: &str) -> (usize, usize) {
    let values: Vec<_> = lines.iter().map(|line| parsed(line)).collect();
    let first = values.iter().position(|value| value["r"] == sort).expect("there are some");
    let is_alike = |other: &Value| ["r", "n", "p"].iter().all(|key| other[*key] == values[first][*key]);
    let next = values[first + 1..].iter().position(is_alike).expect("each client sees several");
    (first, first + 1 + next)
}

/// A number that is 1,000 higher.
fn altered(lines: &mut [String], sort: &str, key: &str) {
    let line = middle(lines, sort);
    let mut value = parsed(&lines[line]);
    value[key] = (value[key].as_u64().expect("a number") + 1_000).into();
    lines[line] = value.to_string();
}

#[test]
fn a_record_as_it_was_written_is_clean() {
    let checked = checked(&(recorded().join("\n") + "\n"));
    assert!(checked.is_clean(), "{checked:?}");
    assert!(checked.complete);
    assert!(checked.counts.sent > 10, "{checked:?}");
}

#[test]
fn a_line_that_was_removed_is_found() {
    for (sort, expected) in
        [("saw", vec!["holes"]), ("sent", vec!["foreign"]), ("stored", vec!["holes", "lost"])]
    {
        let checked = doctored(|lines| {
            lines.remove(middle(lines, sort));
        });
        assert_eq!(kinds(&checked), expected, "{sort}");
        assert!(!checked.damage.is_empty(), "the end tells of it");
    }
    for sort in ["run", "client", "place", "acked", "read", "settled"] {
        let checked = doctored(|lines| {
            lines.remove(middle(lines, sort));
        });
        assert!(!checked.damage.is_empty() || !checked.violations.is_empty(), "{sort}");
    }
}

#[test]
fn a_line_that_was_doubled_is_found() {
    for (sort, expected) in
        [("saw", vec!["repeated"]), ("stored", vec!["repeated"]), ("acked", vec![]), ("sent", vec![])]
    {
        let checked = doctored(|lines| {
            let line = middle(lines, sort);
            lines.insert(line, lines[line].clone());
        });
        assert_eq!(kinds(&checked), expected, "{sort}");
        assert!(!checked.damage.is_empty(), "the end tells of it");
    }
}

#[test]
fn lines_that_were_swapped_are_found() {
    for sort in ["saw", "stored"] {
        let checked = doctored(|lines| {
            let (line, next) = two_alike(lines, sort);
            lines.swap(line, next);
        });
        assert_eq!(kinds(&checked), ["reordered"], "{sort}");
    }
}

#[test]
fn a_line_that_was_altered_is_found() {
    for sort in ["saw", "stored"] {
        assert_eq!(kinds(&doctored(|lines| altered(lines, sort, "sum"))), ["foreign"], "{sort}");
        assert_eq!(kinds(&doctored(|lines| altered(lines, sort, "by"))), ["foreign"], "{sort}");
    }
    assert_eq!(kinds(&doctored(|lines| altered(lines, "sent", "sum"))), ["foreign"]);
    assert!(kinds(&doctored(|lines| altered(lines, "saw", "seq"))).contains(&"holes"));
    assert!(kinds(&doctored(|lines| altered(lines, "acked", "seq"))).contains(&"lost"));
    assert!(!doctored(|lines| altered(lines, "end", "sent")).damage.is_empty());
    let torn = doctored(|lines| {
        let line = middle(lines, "saw");
        lines[line].truncate(20);
    });
    assert!(torn.damage[0].starts_with("line "), "{torn:?}");
}

#[test]
fn what_no_verification_looks_at_is_found_altered_by_the_digest() {
    for (sort, key) in [("run", "seed"), ("sent", "t"), ("saw", "t"), ("acked", "n")] {
        let checked = doctored(|lines| {
            let line = middle(lines, sort);
            let value = parsed(&lines[line])[key].clone();
            let higher = value.as_u64().expect("a number") + 1;
            lines[line] =
                lines[line].replacen(&format!("\"{key}\":{value}"), &format!("\"{key}\":{higher}"), 1);
        });
        assert!(checked.damage.iter().any(|damage| damage.contains("digest")), "{sort} {key}: {checked:?}");
    }
    let scenario = doctored(|lines| lines[0] = lines[0].replace("\"direct\"", "\"group\""));
    assert_eq!(scenario.damage, ["it is not what was written: its digest differs"]);
}

#[test]
fn a_record_of_an_earlier_version_has_no_digest() {
    let mut lines = recorded().to_vec();
    let last = lines.pop().expect("an end");
    let (end, digest) = last.split_once(",\"digest\":").expect("a digest");
    assert!(digest.trim_end_matches('}').parse::<u32>().is_ok(), "{digest}");
    lines.push(format!("{end}}}"));
    let checked = checked(&(lines.join("\n") + "\n"));
    assert!(checked.is_clean() && checked.complete, "{checked:?}");
}

#[tokio::test]
async fn a_record_that_is_to_be_complete_has_its_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("record");
    let name = file.to_string_lossy().into_owned();
    let lines = tokio::task::spawn_blocking(|| recorded().to_vec()).await.expect("recorded");
    let statuses = async |lines: &[String]| {
        std::fs::write(&file, lines.join("\n") + "\n").expect("written");
        let as_it_is = chat_load(&["check", &name]).await.status.code();
        (as_it_is, chat_load(&["check", "--complete", &name]).await.status.code())
    };
    assert_eq!(statuses(&lines).await, (Some(0), Some(0)));
    for left in [1, lines.len() / 3, lines.len() - 1] {
        assert_eq!(statuses(&lines[..left]).await, (Some(0), Some(1)), "{left} lines");
    }
}

#[test]
fn a_record_that_breaks_off_is_checked_as_far_as_it_goes() {
    let text = recorded().join("\n") + "\n";
    for part in 1..40 {
        let checked = checked(&text[..text.len() * part / 40]);
        assert!(checked.is_clean(), "{part} of 40: {checked:?}");
        assert!(!checked.complete);
    }
    // What is wrong in the part that there is, is found.
    let mut lines = recorded().to_vec();
    lines.truncate(lines.len() / 2);
    lines.remove(middle(&lines, "saw"));
    assert_eq!(kinds(&checked(&(lines.join("\n") + "\n"))), ["holes"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_that_is_killed_leaves_a_record_of_the_time_before() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(MemoryStore::new(Epoch(1))).await;
    let record = folder.path().join("record");
    let arguments = ["direct", "--address", &server.address, "--seconds", "600", "--quiet", "--record"];
    let mut program = start(&arguments, &record);
    let mut text = String::new();
    // It leaves behind what it has every second.
    while text.matches("\"acked\"").count() < 10 {
        assert_eq!(program.try_wait().expect("it can be asked"), None, "it goes on");
        tokio::time::sleep(Duration::from_millis(20)).await;
        text = std::fs::read_to_string(&record).unwrap_or_default();
    }
    program.kill().await.expect("it is killed");
    server.stop().await;
    let checked = check(&record).expect("it can be read");
    assert!(checked.is_clean() && !checked.complete, "{checked:?}");
    assert!(checked.counts.acked >= 10, "{checked:?}");
}

#[tokio::test]
async fn the_status_tells_whether_all_records_are_clean() {
    let folder = tempfile::tempdir().expect("a folder");
    let (good, bad) = (folder.path().join("good"), folder.path().join("bad"));
    let write =
        |file: &Path, lines: &[String]| std::fs::write(file, lines.join("\n") + "\n").expect("written");
    let mut lines = tokio::task::spawn_blocking(|| recorded().to_vec()).await.expect("recorded");
    write(&good, &lines);
    let line = middle(&lines, "saw");
    lines.insert(line, lines[line].clone());
    write(&bad, &lines);
    let (good, bad) = (good.to_string_lossy(), bad.to_string_lossy());
    let clean = chat_load(&["check", &good]).await;
    assert_eq!(clean.status.code(), Some(0));
    let found = chat_load(&["check", &good, &bad]).await;
    assert_eq!(found.status.code(), Some(1));
    let said = String::from_utf8_lossy(&found.stdout).into_owned();
    assert!(said.contains("repeated 1") && said.contains("twice"), "{said}");
}
