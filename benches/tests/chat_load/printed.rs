//! What a person reads.

use chat_core::Epoch;
use chat_core::memory::MemoryStore;

use crate::flawed::Flawed;
use crate::harness::{Server, chat_load, complaint};

/// Runs for two seconds, and prints; the status, the table's rows by their names, and what was said meanwhile.
async fn printed(store: Flawed<MemoryStore>, more: &[&str]) -> (Option<i32>, Vec<(String, String)>, String) {
    let server = Server::start(store).await;
    let arguments =
        ["direct", "--address", &server.address, "--clients", "2", "--seconds", "2", "--rate", "50"];
    let output = chat_load(&[&arguments[..], more].concat()).await;
    server.stop().await;
    let table = String::from_utf8(output.stdout.clone()).expect("text");
    assert!(table.starts_with("Direct, 2 clients, 1 conversations, seed "), "{table}");
    let row = |line: &str| {
        let (name, value) = line.trim_start().split_once("  ").unwrap_or((line, ""));
        (name.to_owned(), value.trim_start().to_owned())
    };
    (output.status.code(), table.lines().skip(1).map(row).collect(), complaint(&output))
}

fn value<'a>(rows: &'a [(String, String)], name: &str) -> &'a str {
    rows.iter().find(|row| row.0 == name).map_or_else(|| panic!("{name} in {rows:?}"), |row| &row.1)
}

/// The number that a row or a column begins with.
fn number(text: &str) -> f64 {
    text.split_whitespace().next().and_then(|first| first.parse().ok()).unwrap_or_else(|| panic!("{text}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_table_and_the_lines_of_progress_say_how_it_goes() {
    let pid = std::process::id().to_string();
    let (status, rows, said) =
        printed(Flawed::reading(MemoryStore::new(Epoch(1)), |_| {}), &["--pid", &pid]).await;
    assert_eq!(status, Some(0), "{rows:?}");
    let sent = number(value(&rows, "sent"));
    assert_eq!(sent + number(value(&rows, "turns not taken")), 100.0, "{rows:?}");
    assert_eq!(number(value(&rows, "acknowledged")), sent);
    assert_eq!(number(value(&rows, "deliveries")), sent);
    assert_eq!((value(&rows, "refused"), value(&rows, "unknown")), ("0", "0"));
    for times in ["acknowledged after", "delivered after"] {
        let times = value(&rows, times);
        assert!(times.starts_with("p50 ") && times.contains(" ms, at most "), "{times}");
    }
    assert_eq!(value(&rows, "violations"), "foreign 0, holes 0, lost 0, refused 0, reordered 0, repeated 0");
    assert!(value(&rows, &format!("process {pid}")).contains(" s of processor; "), "{rows:?}");
    let mut lines = said.lines();
    assert_eq!(lines.next(), Some("sending"));
    let columns = ["acknowledged/s", "delivered/s", "under way", "in all", "reconnections"];
    let mut in_all = 0.0;
    for line in lines {
        let mut rest = line.split_once(" s ").unwrap_or_else(|| panic!("{line}")).1;
        for column in columns {
            let (before, after) = rest.split_once(column).unwrap_or_else(|| panic!("{column} in {line}"));
            if column == "in all" {
                assert!(number(before) >= in_all, "{said}");
                in_all = number(before);
            }
            rest = after;
        }
    }
    assert!(in_all > 0.0 && in_all <= sent, "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_table_says_what_is_wrong_and_what_had_not_come() {
    let store = Flawed::unavailable(MemoryStore::new(Epoch(1)));
    let (status, rows, _) = printed(store, &["--settle", "1", "--quiet"]).await;
    assert_eq!(status, Some(1), "{rows:?}");
    let unknown = value(&rows, "unknown");
    assert!(number(unknown) > 0.0, "{rows:?}");
    for times in ["acknowledged after", "delivered after"] {
        let expected = format!("ms or more; {unknown} of {unknown} had not come in the end");
        assert!(value(&rows, times).ends_with(&expected), "{rows:?}");
    }
    assert!(rows.iter().any(|(name, _)| name.contains("nothing was acknowledged")), "{rows:?}");
}
