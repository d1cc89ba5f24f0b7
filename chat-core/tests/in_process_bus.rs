//! The in-process bus keeps the bus contract, and so does the bus that can fail while nothing is done to it.

use std::sync::Arc;

use chat_core::bus::Bus;
use chat_core::memory::{InProcessBus, InProcessEndpoint};
use chat_core::testkit::bus::Endpoints;

fn endpoints(wrap: impl Fn(InProcessEndpoint) -> Arc<dyn Bus>) -> Endpoints {
    let bus = InProcessBus::new();
    [(); 3].map(|()| wrap(bus.endpoint()))
}

chat_core::bus_conformance!(async { (endpoints(|endpoint| Arc::new(endpoint)), ()) });

/// While nothing is done to it, the bus that can fail is a right one.
mod unspoiled {
    use std::sync::Arc;

    use chat_core::testkit::faults::FaultyBus;

    chat_core::bus_conformance!(async {
        (super::endpoints(|endpoint| Arc::new(FaultyBus::new(endpoint, 1).0)), ())
    });
}
