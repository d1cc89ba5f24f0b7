//! The in-process bus keeps the bus contract, and so does the bus that can fail.

use std::sync::Arc;

use chat_core::bus::Bus;
use chat_core::memory::{InProcessBus, InProcessEndpoint};
use chat_core::testkit::bus::Endpoints;

fn endpoints(wrap: impl Fn(InProcessEndpoint) -> Arc<dyn Bus>) -> Endpoints {
    let bus = InProcessBus::new();
    [(); 3].map(|()| wrap(bus.endpoint()))
}

chat_core::bus_conformance!(async { (endpoints(|endpoint| Arc::new(endpoint)), ()) });

/// While nothing is done to it, the bus that can fail is a right one; and it comes back as one does.
mod unspoiled {
    use std::sync::Arc;

    use async_trait::async_trait;
    use chat_core::bus::Bus;
    use chat_core::memory::InProcessBus;
    use chat_core::testkit::bus::Outage;
    use chat_core::testkit::faults::{BusFaults, BusWeather, FaultyBus};

    struct Cut(BusFaults);

    #[async_trait]
    impl Outage for Cut {
        async fn begin(&self) {
            self.0.sending(BusWeather::LOST);
            self.0.receiving(BusWeather::LOST);
        }

        async fn end(&self) {
            self.0.cease();
            self.0.lag();
        }
    }

    chat_core::bus_outage_conformance!(async {
        let bus = InProcessBus::new();
        let (second, faults) = FaultyBus::new(bus.endpoint(), 1);
        let endpoints: [Arc<dyn Bus>; 3] =
            [Arc::new(bus.endpoint()), Arc::new(second), Arc::new(bus.endpoint())];
        ((endpoints, Arc::new(Cut(faults)) as Arc<dyn Outage>), ())
    });

    chat_core::bus_conformance!(async {
        (super::endpoints(|endpoint| Arc::new(FaultyBus::new(endpoint, 1).0)), ())
    });
}
