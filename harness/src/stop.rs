//! Waiting for a moment that a stop may come before.

use tokio::{sync::watch, time::Instant};

/// Whether the moment came before the stop.
pub async fn wait_until(moment: Instant, stop: &mut watch::Receiver<bool>) -> bool {
    if *stop.borrow() {
        return false;
    }
    if moment <= Instant::now() {
        return true;
    }
    tokio::select! {
        biased;
        _ = stop.wait_for(|stop| *stop) => false,
        () = tokio::time::sleep_until(moment) => true,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_stop_comes_first_and_a_past_moment_is_here() {
        let (stop, mut stopped) = watch::channel(false);
        assert!(wait_until(Instant::now(), &mut stopped).await);
        stop.send_replace(true);
        assert!(!wait_until(Instant::now(), &mut stopped).await);
        assert!(!wait_until(Instant::now() + Duration::from_secs(3_600), &mut stopped).await);
    }
}
