//! Waiting for several things of one task at a time.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A part of a task.
pub type Step<T> = Pin<Box<dyn Future<Output = T>>>;

/// Resolves when all have, with the results in the order of the steps. The steps are polled in that order.
pub struct All<T> {
    steps: Vec<Option<Step<T>>>,
    results: Vec<Option<T>>,
}

/// Runs `steps` together.
pub fn all<T>(steps: Vec<Step<T>>) -> All<T> {
    let results = steps.iter().map(|_| None).collect();
    All { steps: steps.into_iter().map(Some).collect(), results }
}

impl<T: Unpin> Future for All<T> {
    type Output = Vec<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Vec<T>> {
        let this = &mut *self;
        let mut pending = false;
        for (step, result) in this.steps.iter_mut().zip(&mut this.results) {
            let Some(running) = step else { continue };
            match running.as_mut().poll(cx) {
                Poll::Pending => pending = true,
                Poll::Ready(value) => {
                    *step = None;
                    *result = Some(value);
                }
            }
        }
        if pending { Poll::Pending } else { Poll::Ready(this.results.iter_mut().filter_map(Option::take).collect()) }
    }
}

/// Resolves when the first of `steps` does; never when there are none.
pub async fn any(mut steps: Vec<Step<()>>) {
    std::future::poll_fn(|cx| {
        let ready = steps.iter_mut().any(|step| step.as_mut().poll(cx).is_ready());
        if ready { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_keep_the_order_of_the_steps() {
        let mut first_poll = true;
        let late = std::future::poll_fn(move |cx| {
            if std::mem::take(&mut first_poll) {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            Poll::Ready(1)
        });
        let steps: Vec<Step<i32>> = vec![Box::pin(late), Box::pin(async { 2 })];
        assert_eq!(futures_lite::future::block_on(all(steps)), [1, 2]);
    }

    #[test]
    fn any_ends_with_the_first() {
        futures_lite::future::block_on(any(vec![Box::pin(std::future::pending()), Box::pin(async {})]));
    }
}
