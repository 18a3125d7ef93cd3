//! Open-loop load: requests leave at their appointed times whether earlier ones were answered or not,
//! and each is timed from when it should have left, so that a slow node cannot hide its own delays.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Requests without an answer at one time. More: counted as never sent, which is a failed run.
const IN_FLIGHT_MAX: usize = 4_096;

/// What became of the requests.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Milliseconds from the appointed time to the good answer, in no order.
    pub latencies_ms: Vec<f64>,
    /// Answered, but not as wanted.
    pub refused: usize,
    /// Never sent, because too many were waiting already.
    pub never_sent: usize,
}

/// Sends `rate` requests a second for so long, the number of each given to `send`; true is a good answer.
pub async fn open_loop<F>(rate: u32, lasting: Duration, send: impl Fn(u32) -> F) -> Outcome
where
    F: Future<Output = bool> + Send + 'static,
{
    let room = Arc::new(Semaphore::new(IN_FLIGHT_MAX));
    let mut requests = JoinSet::new();
    let mut outcome = Outcome::default();
    let began = Instant::now();
    let total = u32::try_from(u128::from(rate) * lasting.as_millis() / 1_000).unwrap_or(u32::MAX);
    for number in 0..total {
        let appointed = began + Duration::from_secs(1) * number / rate;
        tokio::time::sleep_until(appointed).await;
        let Ok(permit) = room.clone().try_acquire_owned() else {
            outcome.never_sent += 1;
            continue;
        };
        let request = send(number);
        requests.spawn(async move {
            let good = request.await;
            drop(permit);
            (good, appointed.elapsed())
        });
    }
    while let Some(answer) = requests.join_next().await {
        match answer {
            Ok((true, took)) => outcome.latencies_ms.push(took.as_secs_f64() * 1_000.0),
            Ok((false, _)) | Err(_) => outcome.refused += 1,
        }
    }
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_slow_answer_is_timed_from_when_its_request_should_have_left() {
        let last_came = Arc::new(tokio::sync::Notify::new());
        let outcome = open_loop(100, Duration::from_millis(200), |number| {
            let last_came = last_came.clone();
            async move {
                match number {
                    0 => last_came.notified().await,
                    19 => last_came.notify_one(),
                    _ => {}
                }
                number != 9
            }
        })
        .await;
        assert_eq!(outcome.latencies_ms.len(), 19);
        assert_eq!((outcome.refused, outcome.never_sent), (1, 0));
        assert!(outcome.latencies_ms.iter().any(|ms| *ms >= 190.0), "{:?}", outcome.latencies_ms);
    }
}
