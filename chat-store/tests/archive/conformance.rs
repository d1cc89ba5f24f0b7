//! SQLite keeps the contract of archives, against itself and against the store in memory.

mod from_memory {
    use std::sync::Arc;

    use chat_core::Epoch;
    use chat_core::memory::MemoryStore;
    use chat_core::store::archive::Export;
    use chat_core::testkit::archive::Place;

    use crate::folder::Folder;

    chat_core::archive_conformance!(async {
        let source: Arc<dyn Export> = Arc::new(MemoryStore::new(Epoch(7)));
        (source, Arc::new(Folder::new()) as Arc<dyn Place>, ())
    });
}

mod into_memory {
    use std::sync::Arc;

    use chat_core::store::archive::Export;
    use chat_core::testkit::archive::Place;

    use crate::folder::Folder;
    use crate::in_memory::InMemory;

    chat_core::archive_conformance!(async {
        let folder = Folder::new();
        let source: Arc<dyn Export> = folder.open().await.expect("an empty folder");
        (source, Arc::new(InMemory::new()) as Arc<dyn Place>, folder)
    });
}

mod between_folders {
    use std::sync::Arc;

    use chat_core::store::archive::Export;
    use chat_core::testkit::archive::Place;

    use crate::folder::Folder;

    chat_core::archive_conformance!(async {
        let folder = Folder::new();
        let source: Arc<dyn Export> = folder.open().await.expect("an empty folder");
        (source, Arc::new(Folder::new()) as Arc<dyn Place>, folder)
    });
}
