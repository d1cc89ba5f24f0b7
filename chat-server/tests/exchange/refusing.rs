//! What stands in the way, and what is said of it.

use std::fs;

use crate::command::{done, file, refused, run, said};
use crate::server::{Installation, Kind};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_on_which_a_server_runs_is_neither_exported_nor_imported_into() {
    let installation = Installation::new(Kind::Embedded).await;
    let server = installation.start();
    let archive = file(&installation, "archive");
    let refused_to_export = refused(&installation, "export", &[&archive]);
    assert!(refused_to_export.contains("in use"), "{refused_to_export}");
    assert!(!fs::exists(&archive).expect("the folder is there"), "no file is begun");
    server.stop().await;
    done(&installation, "export", &[&archive]);
    let server = installation.start();
    let refused_to_import = refused(&installation, "import", &[&archive]);
    assert!(refused_to_import.contains("in use"), "{refused_to_import}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_and_stores_that_exist_stay_as_they_are() {
    let installation = Installation::new(Kind::Embedded).await;
    let archive = file(&installation, "archive");
    let nothing = refused(&installation, "export", &[&archive]);
    assert!(nothing.contains("no store"), "{nothing}");
    assert!(!installation.data().exists(), "nothing is made where there was nothing");
    installation.start().stop().await;

    fs::write(&archive, "something else").expect("it can be written to");
    let exists = refused(&installation, "export", &[&archive]);
    assert!(exists.contains("exists"), "{exists}");
    let foreign = refused(&installation, "export", &["--resume", &archive]);
    assert!(foreign.contains("not an archive"), "{foreign}");
    assert_eq!(fs::read(&archive).expect("it is there"), b"something else");
    fs::remove_file(&archive).expect("it is there");

    // An export that was interrupted before it wrote anything.
    fs::write(&archive, "").expect("it can be written to");
    done(&installation, "export", &["--resume", &archive]);
    let used = Installation::new(Kind::Embedded).await;
    done(&used, "import", &[&archive]);
    let whole = fs::read(&archive).expect("it is there");
    for cut in [0, 20, whole.len() - 1] {
        fs::write(&archive, &whole[..cut]).expect("it can be written to");
        let other = Installation::new(Kind::Embedded).await;
        let cut_off = refused(&other, "import", &[&archive]);
        assert!(cut_off.contains("ends at byte"), "{cut_off}");
    }
    let missing = refused(&used, "import", &[&file(&used, "nowhere")]);
    assert!(missing.contains("cannot open"), "{missing}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_arguments_are_told_apart_from_what_cannot_be_done() {
    let installation = Installation::new(Kind::Embedded).await;
    for (task, arguments) in [("export", &[][..]), ("import", &["a", "b"]), ("export", &["--again", "a"])] {
        let output = run(&installation, task, arguments);
        assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    }
    let standard = refused(&installation, "export", &["--resume", "-"]);
    assert!(standard.contains("--resume needs a file"), "{standard}");
}
