//! The same work on many nodes at once.

use std::thread;

/// Nodes that are worked on at the same time.
const AT_ONCE: usize = 64;

/// Does `work` on each of `items`, side by side; the results stand in their order.
pub(crate) fn each<T: Sync, R: Send>(items: &[T], work: impl Fn(usize, &T) -> R + Sync) -> Vec<R> {
    let mut results = Vec::with_capacity(items.len());
    for (turn, part) in items.chunks(AT_ONCE).enumerate() {
        thread::scope(|scope| {
            let first = turn * AT_ONCE;
            let work = &work;
            let threads: Vec<_> = (first..)
                .zip(part)
                .map(|(index, item)| scope.spawn(move || work(index, item)))
                .collect();
            for thread in threads {
                match thread.join() {
                    Ok(result) => results.push(result),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
        });
    }
    results
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_stand_in_their_order() {
        let items: Vec<usize> = (0..200).collect();
        let results = each(&items, |index, item| (index, item * 2));
        let expected: Vec<_> = (0..200).map(|item| (item, item * 2)).collect();
        assert_eq!(results, expected);
        assert!(each(&[] as &[u8], |_, _| ()).is_empty());
    }
}
