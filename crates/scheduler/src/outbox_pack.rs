//! Many events in few messages.

use automation_broker::publisher::Message;
use automation_broker::topology::{COMMANDS, EVENTS};
use automation_domain::event::encode::{BATCH, STRUCTURED};
use automation_domain::id::TenantId;
use automation_service_kit::ids;
use automation_store::events::outbox::Leased;

/// Most events in one message.
const MOST_IN_MESSAGE: usize = 100;
/// A message is closed before it grows beyond this, in bytes: a quarter of what ingest takes in a batch. A larger event
/// travels alone.
pub(crate) const MOST_BYTES: usize = 1024 * 1024;

/// A message, and the rows of the outbox that are in it.
pub(crate) struct Packed {
    pub(crate) message: Message,
    pub(crate) rows: Vec<(TenantId, i64)>,
}

/// Packs neighbouring events of one type into one message, so that the order stays as it is. A command is a message by itself:
/// whoever takes it does one thing.
pub(crate) fn pack(leased: Vec<Leased>, user: &str) -> Vec<Packed> {
    let mut packed: Vec<Packed> = Vec::new();
    for event in leased {
        let row = (event.tenant_id, event.outbox_id);
        match packed.last_mut().filter(|packed| packed.has_room_for(&event)) {
            Some(packed) => packed.add(row, &event.body),
            None => packed.push(Packed {
                message: Message {
                    exchange: if event.is_command { COMMANDS } else { EVENTS }.to_owned(),
                    routing_key: event.event_type,
                    body: event.body,
                    content_type: STRUCTURED.to_owned(),
                    message_id: ids::new_id().to_string(),
                    user_id: Some(user.to_owned()),
                    ..Message::default()
                },
                rows: vec![row],
            }),
        }
    }
    packed
}

impl Packed {
    fn has_room_for(&self, event: &Leased) -> bool {
        // Brackets and comma.
        let bytes = self.message.body.len() + event.body.len() + 3;
        !event.is_command
            && self.message.exchange == EVENTS
            && self.message.routing_key == event.event_type
            && self.rows.len() < MOST_IN_MESSAGE
            && bytes <= MOST_BYTES
    }

    fn add(&mut self, row: (TenantId, i64), event: &[u8]) {
        let body = &mut self.message.body;
        if self.rows.len() == 1 {
            body.insert(0, b'[');
            self.message.content_type = BATCH.to_owned();
        } else {
            body.pop();
        }
        body.push(b',');
        body.extend_from_slice(event);
        body.push(b']');
        self.rows.push(row);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use automation_domain::id::TenantId;
    use uuid::Uuid;

    fn leased(event_type: &str, body: &str) -> Leased {
        let tenant_id = TenantId(Uuid::nil());
        Leased {
            tenant_id,
            outbox_id: 0,
            event_type: event_type.to_owned(),
            is_command: false,
            body: body.as_bytes().to_vec(),
        }
    }

    #[test]
    fn neighbours_of_one_type_share_a_message_and_order_is_kept() {
        let events =
            [leased("a", "1"), leased("a", "2"), leased("a", "3"), leased("b", "4"), leased("a", "5")];
        let messages = pack(events.to_vec(), "engine");
        let seen: Vec<_> = messages
            .iter()
            .map(|Packed { message, .. }| {
                (
                    message.routing_key.as_str(),
                    std::str::from_utf8(&message.body).unwrap(),
                    message.content_type.as_str(),
                )
            })
            .collect();
        assert_eq!(seen, [("a", "[1,2,3]", BATCH), ("b", "4", STRUCTURED), ("a", "5", STRUCTURED)]);
    }

    #[test]
    fn a_command_goes_to_its_own_exchange_and_shares_no_message() {
        let command = |body: &str| Leased { is_command: true, ..leased("a", body) };
        let packed = pack(vec![leased("a", "1"), command("2"), command("3"), leased("a", "4")], "engine");
        let told: Vec<_> = packed
            .iter()
            .map(|packed| (packed.message.exchange.as_str(), packed.message.body.as_slice()))
            .collect();
        assert_eq!(told, [(EVENTS, &b"1"[..]), (COMMANDS, b"2"), (COMMANDS, b"3"), (EVENTS, b"4")]);
        assert!(packed.iter().all(|packed| packed.message.content_type == STRUCTURED));
    }

    #[test]
    fn a_message_is_closed_before_it_outgrows_what_ingest_takes() {
        let large = format!("\"{}\"", "x".repeat(64 * 1024));
        let packed = pack(vec![leased("a", &large); 60], "engine");
        let rows: Vec<_> = packed.iter().map(|packed| packed.rows.len()).collect();
        assert_eq!(rows, [15, 15, 15, 15]);
        assert!(packed.iter().all(|packed| packed.message.body.len() <= MOST_BYTES));
        let huge = format!("\"{}\"", "x".repeat(MOST_BYTES));
        let packed =
            pack(vec![leased("a", "1"), leased("a", &huge), leased("a", "2"), leased("a", "3")], "engine");
        assert_eq!(packed.iter().map(|packed| packed.rows.len()).collect::<Vec<_>>(), [1, 1, 2]);
    }
}
