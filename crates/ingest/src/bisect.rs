//! Work on many of which some spoil it for all: halved until each culprit stands alone.

use futures_util::FutureExt;
use std::panic::AssertUnwindSafe;

/// Why work on some was not done.
#[derive(Debug)]
pub(crate) enum Failure<E> {
    /// It was refused.
    Refused(E),
    /// It panicked.
    Panicked,
}

/// What became of a part.
#[derive(Debug)]
pub(crate) enum Part<'a, T, D, E> {
    /// It was done.
    Done(D),
    /// This one alone cannot be done.
    Culprit(&'a T, Failure<E>),
}

/// Does `work` on all of `items`, in order, in as few parts as its failures allow. `work` gives `None` when it was
/// given up for good; so is all the rest then.
pub(crate) async fn bisect<'a, T, D, E, W>(
    items: &'a [T],
    work: impl Fn(&'a [T]) -> W,
) -> Option<Vec<Part<'a, T, D, E>>>
where
    W: Future<Output = Option<Result<D, E>>>,
{
    let mut parts = vec![items];
    let mut outcomes = Vec::new();
    while let Some(part) = parts.pop() {
        // A panic unwinds out of the work, which leaves nothing behind: its transaction is rolled back.
        let failure = match AssertUnwindSafe(work(part)).catch_unwind().await {
            Ok(None) => return None,
            Ok(Some(Ok(done))) => {
                outcomes.push(Part::Done(done));
                continue;
            }
            Ok(Some(Err(error))) => Failure::Refused(error),
            Err(_panic) => Failure::Panicked,
        };
        match part {
            [] => {}
            [culprit] => outcomes.push(Part::Culprit(culprit, failure)),
            _ => {
                let (first, second) = part.split_at(part.len() / 2);
                parts.push(second);
                parts.push(first);
            }
        }
    }
    Some(outcomes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Says what became of each part: `+` done, `-` refused, `!` panicked.
    async fn outcome(items: &[i32]) -> Option<Vec<String>> {
        let work = |part: &[i32]| attempt(part.to_vec());
        let parts = bisect(items, work).await?;
        let say = |part: &Part<'_, i32, Vec<i32>, &str>| match part {
            Part::Done(done) => format!("+{done:?}"),
            Part::Culprit(item, Failure::Refused(_)) => format!("-{item}"),
            Part::Culprit(item, Failure::Panicked) => format!("!{item}"),
        };
        Some(parts.iter().map(say).collect())
    }

    /// Gives up at 99, panics at 13, refuses what is negative.
    async fn attempt(part: Vec<i32>) -> Option<Result<Vec<i32>, &'static str>> {
        tokio::task::yield_now().await;
        if part.contains(&99) {
            return None;
        }
        assert!(!part.contains(&13), "unlucky");
        Some(if part.iter().any(|item| *item < 0) { Err("negative") } else { Ok(part) })
    }

    #[tokio::test]
    async fn each_culprit_stands_alone_and_all_others_are_done_in_order() {
        assert_eq!(outcome(&[1, 2, 3]).await.unwrap(), ["+[1, 2, 3]"]);
        assert_eq!(outcome(&[]).await.unwrap(), ["+[]"]);
        assert_eq!(
            outcome(&[1, 2, 13, 4, -5, 6]).await.unwrap(),
            ["+[1]", "+[2]", "!13", "+[4]", "--5", "+[6]"]
        );
        assert_eq!(outcome(&[13, -1]).await.unwrap(), ["!13", "--1"]);
    }

    #[tokio::test]
    async fn what_is_given_up_is_given_up_whole() {
        assert_eq!(outcome(&[1, 13, 99]).await, None);
    }
}
