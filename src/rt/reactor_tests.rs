//! Tasks, timers and wakes on both backends.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::super::backend::Backend;
use super::super::executor::{run_local_on, sleep, spawn_local, timeout, yield_now};
use super::current;

#[test]
fn nothing_is_runnable_once_all_tasks_wait() {
    for backend in Backend::ALL {
        let left = run_local_on(backend, async {
            for _ in 0..10 {
                spawn_local(async { yield_now().await });
                spawn_local(sleep(Duration::from_secs(1000)));
            }
            sleep(Duration::from_millis(5)).await;
            // Nobody but the task that asks, which is being polled and so no longer counted.
            current().runnable.get()
        });
        assert_eq!(left.expect("io_uring is needed for the tests"), 0);
    }
}

#[test]
fn timers_fire_in_order_and_dropped_ones_do_not() {
    for backend in Backend::ALL {
        let order = run_local_on(backend, async {
            let order = Rc::new(Cell::new(0));
            for (place, millis) in [(3, 90), (1, 30), (2, 60)] {
                let order = order.clone();
                spawn_local(async move {
                    sleep(Duration::from_millis(millis)).await;
                    order.set(order.get() * 10 + place);
                });
            }
            assert!(timeout(Duration::from_millis(1), sleep(Duration::from_secs(9))).await.is_none());
            sleep(Duration::from_millis(200)).await;
            assert!(current().timers.borrow().is_empty());
            order.get()
        });
        assert_eq!(order.expect("io_uring is needed for the tests"), 123);
    }
}

#[test]
fn another_thread_wakes_a_sleeping_executor_at_once() {
    for backend in Backend::ALL {
        let (to_main, main) = super::super::mesh::inbox::<Instant>(1);
        let thread = std::thread::spawn(move || {
            for _ in 0..50 {
                std::thread::sleep(Duration::from_millis(2));
                to_main.send_blocking(Instant::now());
            }
        });
        let quickest = run_local_on(backend, async move {
            let mut quickest = Duration::MAX;
            for _ in 0..50 {
                quickest = main.receive().await.elapsed().min(quickest);
            }
            quickest
        });
        thread.join().expect("the sender ends");
        assert!(quickest.expect("io_uring is needed for the tests") < Duration::from_millis(2));
    }
}
