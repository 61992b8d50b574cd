//! New ids, which come from nowhere else.

use uuid::Uuid;

/// A new id that sorts by time, for what decides nothing (a request, a message, a batch); ids that decide are derived.
#[expect(clippy::disallowed_methods, reason = "the one place that makes new ids")]
pub fn new_id() -> Uuid {
    Uuid::now_v7()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::wall_clock;

    #[test]
    fn new_ids_are_version_7_and_ascend() {
        let ids: Vec<Uuid> = (0..1_000).map(|_| new_id()).collect();
        assert!(ids.iter().all(|id| id.get_version_num() == 7));
        assert!(ids.is_sorted());
    }

    #[test]
    fn an_id_begins_with_the_wall_clock() {
        let before = wall_clock().timestamp_millis();
        let (seconds, nanos) = new_id().get_timestamp().expect("version 7 has a time").to_unix();
        let id_millis = i64::try_from(seconds).unwrap() * 1_000 + i64::from(nanos / 1_000_000);
        assert!((before..=wall_clock().timestamp_millis()).contains(&id_millis));
    }
}
