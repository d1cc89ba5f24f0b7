//! The in-process bus keeps the bus contract.

use std::sync::Arc;

use chat_core::bus::Bus;
use chat_core::memory::InProcessBus;

chat_core::bus_conformance!(async {
    let bus = InProcessBus::new();
    ([(); 3].map(|()| Arc::new(bus.endpoint()) as Arc<dyn Bus>), ())
});
