//! What happens in the shop: customers come, look around, and do one thing that matters.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use std::collections::VecDeque;

const FIRST_NAMES: [&str; 12] =
    ["Ada", "Bruno", "Chloé", "Dmitri", "Emeka", "Fatma", "Grace", "Hiro", "Ingrid", "José", "Kaya", "Lin"];
const LAST_NAMES: [&str; 8] = ["Aydın", "Berg", "Costa", "Dubois", "Eze", "Fischer", "García", "Hansen"];
const ZONES: [&str; 4] = ["Europe/Berlin", "America/New_York", "Asia/Tokyo", "America/Sao_Paulo"];
const COMPANIES: [&str; 4] = ["Nordlicht GmbH", "Blue Harbor Inc.", "Kirin Works", ""];
const PAGES: [(&str, &str); 6] = [
    ("/", "Home"),
    ("/shoes", "Shoes"),
    ("/jackets", "Jackets"),
    ("/pricing", "Prices"),
    ("/about", "About us"),
    ("/blog/winter", "Ready for winter"),
];
const PRODUCTS: [(&str, f64); 6] =
    [("socks", 9.5), ("scarf", 24.9), ("boots", 139.0), ("jacket", 219.0), ("tent", 349.0), ("stove", 59.9)];
const FAILURES: [&str; 4] = ["insufficient_funds", "expired_card", "lost_card", "do_not_honor"];

/// One fact of the shop, before it is an event.
#[derive(Clone, PartialEq, Debug)]
pub struct Fact {
    /// Its type.
    pub event_type: &'static str,
    /// Which customer it is about.
    pub customer: String,
    /// The payload.
    pub data: Value,
}

/// The facts of a shop, without end and in order; they depend on the seed alone.
#[derive(Debug)]
pub struct Shop {
    seed: u64,
    random: StdRng,
    customers: u32,
    /// What the latest customer is still going to do.
    coming: VecDeque<Fact>,
}

impl Shop {
    /// Opens the shop.
    pub fn new(seed: u64) -> Self {
        Self { seed, random: StdRng::seed_from_u64(seed), customers: 0, coming: VecDeque::new() }
    }

    fn next_customer(&mut self) {
        self.customers += 1;
        self.arrive();
        for _ in 0..self.random.random_range(1..=3) {
            self.look_around();
        }
        // In turn rather than by chance: a short run shows every kind.
        match self.customers % 8 {
            0 => self.ask_by_form(),
            1 => self.leave_a_cart(),
            2 | 3 => self.order(),
            4 | 5 => self.subscribe_and_fail_to_pay(),
            6 => self.read_the_digest(),
            _ => self.unsubscribe(),
        }
    }

    fn arrive(&mut self) {
        let (first, last) = (self.one_of(&FIRST_NAMES), self.one_of(&LAST_NAMES));
        let number = self.customers;
        let data = json!({
            "first_name": first,
            "last_name": last,
            "email": format!("customer{number}.{}@shop.example", self.seed),
            "timezone": self.one_of(&ZONES),
            "source": self.one_of(&["organic", "ad", "referral"]),
            "tags": if self.random.random_bool(0.5) { vec!["newsletter"] } else { vec![] },
            "fields": { "shoe_size": self.random.random_range(36..=47) },
        });
        self.say("contact.created", data);
    }

    fn look_around(&mut self) {
        let (path, title) = self.one_of(&PAGES);
        let duration_s = self.random.random_range(2..=180);
        let data =
            json!({ "url": format!("https://shop.example{path}"), "title": title, "duration_s": duration_s });
        self.say("page.visited", data);
    }

    fn ask_by_form(&mut self) {
        let company = self.one_of(&COMPANIES);
        let data = json!({
            "form_id": "contact",
            "page_url": "https://shop.example/about",
            "fields": {
                "company": company,
                "email": format!("buyer{}@company.example", self.customers),
                "budget": self.one_of(&[500, 5_000, 10_000, 25_000]),
                "message": "Do you equip whole teams?",
            },
        });
        self.say("form.submitted", data);
    }

    fn leave_a_cart(&mut self) {
        let (items, total) = self.pick_items();
        let data =
            json!({ "cart_id": self.number_of("cart"), "total": total, "currency": "EUR", "items": items });
        self.say("checkout.started", data.clone());
        self.say("cart.abandoned", data);
    }

    fn order(&mut self) {
        let (items, total) = self.pick_items();
        let order_id = self.number_of("order");
        self.say(
            "order.created",
            json!({ "order_id": order_id, "total": total, "currency": "EUR", "items": items }),
        );
        self.say("order.completed", json!({ "order_id": order_id, "total": total, "currency": "EUR" }));
    }

    fn subscribe_and_fail_to_pay(&mut self) {
        let subscription_id = self.number_of("subscription");
        let amount = self.one_of(&[9.9, 19.9, 49.9]);
        let paid = json!({
            "subscription_id": subscription_id, "plan": "outdoor-club", "amount": amount, "currency": "EUR",
            "interval": "month",
        });
        self.say("subscription.created", paid);
        let failed = json!({
            "subscription_id": subscription_id, "amount": amount, "currency": "EUR",
            "failure_code": self.one_of(&FAILURES), "attempt": self.random.random_range(1..=3),
        });
        self.say("subscription.payment_failed", failed);
    }

    fn read_the_digest(&mut self) {
        let message_id = self.number_of("mail");
        self.say("email.sent", json!({ "message_id": message_id, "template_id": "digest" }));
        let opened = self.random.random_bool(0.6);
        if opened {
            self.say("email.opened", json!({ "message_id": message_id, "template_id": "digest" }));
            self.say(
                "email.clicked",
                json!({ "message_id": message_id, "url": "https://shop.example/jackets" }),
            );
        }
        let unread = if opened { 0 } else { self.random.random_range(1..=8) };
        self.say("digest.due", json!({ "week": "2026-W48", "unread": unread }));
    }

    fn unsubscribe(&mut self) {
        let message_id = self.number_of("mail");
        let reason = self.one_of(&["too many mails", "not interested"]);
        self.say(
            "email.unsubscribed",
            json!({ "message_id": message_id, "list_id": "newsletter", "reason": reason }),
        );
    }

    /// Up to four products and what they cost together, in cents without a rest.
    fn pick_items(&mut self) -> (Vec<Value>, f64) {
        let mut cents = 0.0;
        let mut items = Vec::new();
        for _ in 0..self.random.random_range(1..=4) {
            let (sku, price) = self.one_of(&PRODUCTS);
            cents += price * 100.0;
            items.push(json!({ "sku": sku, "price": price, "quantity": 1 }));
        }
        (items, cents.round() / 100.0)
    }

    fn say(&mut self, event_type: &'static str, data: Value) {
        let customer = self.number_of("customer");
        self.coming.push_back(Fact { event_type, customer, data });
    }

    /// `cart-1-42`: shops of other seeds have other carts.
    fn number_of(&self, thing: &str) -> String {
        format!("{thing}-{}-{}", self.seed, self.customers)
    }

    fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        *choices.choose(&mut self.random).expect("no list is empty")
    }
}

impl Iterator for Shop {
    type Item = Fact;

    fn next(&mut self) -> Option<Fact> {
        if self.coming.is_empty() {
            self.next_customer();
        }
        self.coming.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_same_seed_gives_the_same_facts() {
        let facts = |seed| Shop::new(seed).take(300).collect::<Vec<_>>();
        assert_eq!(facts(1), facts(1));
        assert_ne!(facts(1), facts(2));
    }

    #[test]
    fn three_hundred_events_start_every_example_workflow() {
        let types: BTreeSet<&str> = Shop::new(1).take(300).map(|fact| fact.event_type).collect();
        for trigger in [
            "form.submitted",
            "subscription.payment_failed",
            "cart.abandoned",
            "page.visited",
            "order.completed",
            "email.unsubscribed",
            "digest.due",
        ] {
            assert!(types.contains(trigger), "{trigger}");
        }
        let is_large =
            |fact: &Fact| fact.event_type == "order.completed" && fact.data["total"].as_f64() >= Some(400.0);
        assert!(Shop::new(1).take(300).any(|fact| is_large(&fact)), "nobody becomes a VIP");
    }

    #[test]
    fn a_customer_exists_before_anything_else_is_said_about_them() {
        let mut known = BTreeSet::new();
        for fact in Shop::new(3).take(500) {
            assert!(known.contains(&fact.customer) || fact.event_type == "contact.created");
            known.insert(fact.customer);
        }
    }
}
