//! What a panic said. The runtime catches a panic of an actor and goes on without it.

use std::cell::RefCell;
use std::panic;
use std::sync::Once;

thread_local! {
    static LAST: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Has the messages of panics kept, for [`last_panic`], beside what is done with them anyway.
pub(crate) fn keep_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let others = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let payload = info.payload();
            let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
            let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
            LAST.set(text.unwrap_or_default());
            others(info);
        }));
    });
}

/// What the last panic of this thread said, if panics are kept.
pub(crate) fn last_panic() -> String {
    LAST.with_borrow(String::clone)
}
