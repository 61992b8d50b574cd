//! Going along a whole chain.

use super::{Broken, Hash, Head, Keys, Link, Proof, Seal, Words, legacy};
use crate::id::TenantId;
use std::collections::BTreeSet;

/// Goes along a tenant's chain from its first link on.
#[derive(Debug)]
pub struct Walk<'a> {
    keys: &'a Keys,
    tenant: TenantId,
    seq: i64,
    mac: Hash,
    /// Entries without words that no later entry has explained yet.
    gone: BTreeSet<i64>,
    erased: usize,
    sealed: Vec<(i64, legacy::Head)>,
}

/// What a chain that holds comes to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Walked {
    /// Its head.
    pub head: Head,
    /// Entries whose words were erased.
    pub erased: usize,
    /// Entries that seal the log from before there was a key, and how far.
    pub sealed: Vec<(i64, legacy::Head)>,
}

impl<'a> Walk<'a> {
    /// Stands before the first link.
    pub fn new(keys: &'a Keys, tenant: TenantId) -> Self {
        let Head { seq, mac, .. } = Head::BEGINNING;
        Self { keys, tenant, seq, mac, gone: BTreeSet::new(), erased: 0, sealed: Vec::new() }
    }

    /// Goes to the next link, as stored with its MAC, and with its words unless they are gone.
    ///
    /// # Errors
    ///
    /// [`Broken`] when it is not what was written there.
    pub fn step(&mut self, link: &Link, stored: &Hash, words: Option<&Words>) -> Result<(), Broken> {
        link.check(self.keys, self.seq + 1, &self.mac, stored)?;
        (self.seq, self.mac) = (link.seq, *stored);
        match words {
            Some(words) if words.commitment() != link.commitment => {
                return Err(Broken::WordsChanged(link.seq));
            }
            Some(_) => {}
            None => {
                self.gone.insert(link.seq);
            }
        }
        match Proof::parse(&link.proof).unwrap_or_default() {
            Proof::None => {}
            Proof::Erased(rows) => {
                for (first, last) in rows {
                    // Nothing explains itself, or what comes after it.
                    let last = last.min(link.seq - 1);
                    while let Some(seq) = self.gone.range(first..).next().copied().filter(|seq| *seq <= last)
                    {
                        self.gone.remove(&seq);
                        self.erased += 1;
                    }
                }
            }
            Proof::Legacy(head) => self.sealed.push((link.seq, head)),
        }
        Ok(())
    }

    /// Compares the end with the head, as stored with its seal.
    ///
    /// # Errors
    ///
    /// [`Broken`] when links are missing at the end, or words without an explanation.
    pub fn end(self, head: Option<&(Head, Seal)>) -> Result<Walked, Broken> {
        let legacy = self.sealed.last().map_or(legacy::Head::BEGINNING, |(_, head)| *head);
        let reached = Head { seq: self.seq, mac: self.mac, legacy };
        match head {
            Some((head, seal)) => {
                head.check(self.keys, self.tenant, seal)?;
                if head.seq != reached.seq {
                    return Err(Broken::End { last: reached.seq, head: head.seq });
                }
                if *head != reached {
                    return Err(Broken::Head);
                }
            }
            None if reached == Head::BEGINNING => {}
            None => return Err(Broken::End { last: reached.seq, head: 0 }),
        }
        if let Some(seq) = self.gone.first() {
            return Err(Broken::WordsGone(*seq));
        }
        Ok(Walked { head: reached, erased: self.erased, sealed: self.sealed })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{Key, SALT_BYTES};
    use chrono::DateTime;
    use uuid::Uuid;

    const TENANT: TenantId = TenantId(Uuid::from_u128(7));

    struct Entry {
        link: Link,
        mac: Hash,
        words: Option<Words>,
    }

    fn key(id: &str, byte: u8) -> Key {
        Key { id: id.to_owned(), bytes: [byte; 32] }
    }

    fn keys() -> Keys {
        Keys::new(key("a", 1), vec![])
    }

    fn words(seq: i64) -> Words {
        Words {
            salt: [u8::try_from(seq).unwrap(); SALT_BYTES],
            actor: "ada".to_owned(),
            subject: format!("dead_letter {seq}"),
            detail: "{}".to_owned(),
        }
    }

    /// A chain whose entries have these proofs, and its head.
    fn chain(keys: &Keys, proofs: &[Proof]) -> (Vec<Entry>, Option<(Head, Seal)>) {
        let (mut entries, mut head) = (Vec::new(), Head::BEGINNING);
        for (seq, proof) in (1_i64..).zip(proofs) {
            let words = words(seq);
            let link = Link {
                tenant_id: TENANT,
                seq,
                at: DateTime::from_timestamp(1_790_000_000 + seq, 5_000).unwrap(),
                action: "dead_letter.replay".to_owned(),
                commitment: words.commitment(),
                proof: proof.to_text(),
                key_id: keys.active().id.clone(),
            };
            let mac = link.mac(keys, &head.mac).unwrap();
            let legacy = if let Proof::Legacy(head) = proof { *head } else { head.legacy };
            head = Head { seq, mac, legacy };
            entries.push(Entry { link, mac, words: Some(words) });
        }
        let seal = head.seal(keys, TENANT);
        (entries, Some((head, seal)))
    }

    fn walk(keys: &Keys, entries: &[Entry], head: Option<&(Head, Seal)>) -> Result<Walked, Broken> {
        let mut walk = Walk::new(keys, TENANT);
        for Entry { link, mac, words } in entries {
            walk.step(link, mac, words.as_ref())?;
        }
        walk.end(head)
    }

    fn none(count: usize) -> Vec<Proof> {
        vec![Proof::None; count]
    }

    #[test]
    fn a_chain_that_nobody_touched_holds() {
        let (entries, head) = chain(&keys(), &none(4));
        let walked = walk(&keys(), &entries, head.as_ref()).unwrap();
        assert_eq!((walked.head.seq, walked.erased), (4, 0));
        assert!(walk(&keys(), &[], None).is_ok());
    }

    #[test]
    fn every_change_is_found_where_it_was_made() {
        let changed = |change: fn(&mut Vec<Entry>)| {
            let (mut entries, head) = chain(&keys(), &none(4));
            change(&mut entries);
            walk(&keys(), &entries, head.as_ref()).unwrap_err()
        };
        assert_eq!(changed(|e| e[1].link.action = "none".to_owned()), Broken::Changed(2));
        assert_eq!(changed(|e| e[1].link.proof = "{ }".to_owned()), Broken::Changed(2));
        assert_eq!(changed(|e| e[1].link.commitment = [0; 32]), Broken::Changed(2));
        assert_eq!(changed(|e| e[1].link.tenant_id = TenantId(Uuid::nil())), Broken::Changed(2));
        assert_eq!(changed(|e| e[1].mac = [0; 32]), Broken::Changed(2));
        assert_eq!(
            changed(|e| e[1].words.as_mut().unwrap().actor = "eve".to_owned()),
            Broken::WordsChanged(2)
        );
        assert_eq!(changed(|e| e[1].words = None), Broken::WordsGone(2));
        assert_eq!(changed(|e| drop(e.remove(1))), Broken::Gap { expected: 2, found: 3 });
        assert_eq!(changed(|e| drop(e.pop())), Broken::End { last: 3, head: 4 });
        assert_eq!(changed(Vec::clear), Broken::End { last: 0, head: 4 });
    }

    #[test]
    fn whoever_has_no_key_writes_no_chain() {
        let forged = Keys::new(key("a", 2), vec![]);
        let (entries, head) = chain(&forged, &none(2));
        assert_eq!(walk(&keys(), &entries, head.as_ref()), Err(Broken::Changed(1)));
        // A head that was cut back, too, or is of another tenant.
        let (entries, _) = chain(&keys(), &none(3));
        let cut = Head { seq: 2, mac: entries[1].mac, legacy: legacy::Head::BEGINNING };
        let sealed = |keys: &Keys, tenant| Some((cut, cut.seal(keys, tenant)));
        assert_eq!(walk(&keys(), &entries[..2], sealed(&forged, TENANT).as_ref()), Err(Broken::Head));
        let other = TenantId(Uuid::nil());
        assert_eq!(walk(&keys(), &entries[..2], sealed(&keys(), other).as_ref()), Err(Broken::Head));
        assert_eq!(walk(&keys(), &entries[..2], None), Err(Broken::End { last: 2, head: 0 }));
    }

    #[test]
    fn a_chain_goes_on_with_another_key_and_needs_both() {
        let (mut entries, _) = chain(&keys(), &none(2));
        let both = Keys::new(key("b", 2), vec![key("a", 1)]);
        let mut link = Link { seq: 3, key_id: "b".to_owned(), ..entries[1].link.clone() };
        link.commitment = words(3).commitment();
        let mac = link.mac(&both, &entries[1].mac).unwrap();
        entries.push(Entry { link, mac, words: Some(words(3)) });
        let head = Head { seq: 3, mac, legacy: legacy::Head::BEGINNING };
        let head = (head, head.seal(&both, TENANT));
        assert_eq!(walk(&both, &entries, Some(&head)).unwrap().head.seq, 3);
        let alone = Keys::new(key("b", 2), vec![]);
        let unknown = Broken::UnknownKey { seq: 1, key_id: "a".to_owned() };
        assert_eq!(walk(&alone, &entries, Some(&head)), Err(unknown));
    }

    #[test]
    fn words_may_go_when_a_later_entry_says_so() {
        let proofs = [none(3), vec![Proof::erased(&[1, 2]), Proof::None]].concat();
        let (mut entries, head) = chain(&keys(), &proofs);
        for erased in [0, 1] {
            entries[erased].words = None;
        }
        assert_eq!(walk(&keys(), &entries, head.as_ref()).unwrap().erased, 2);
        // The erasure itself may be erased by a later one alone.
        entries[3].words = None;
        assert_eq!(walk(&keys(), &entries, head.as_ref()), Err(Broken::WordsGone(4)));
        let proofs = [none(3), vec![Proof::erased(&[1, 2, 4, 5]), Proof::None]].concat();
        let (mut entries, head) = chain(&keys(), &proofs);
        entries[4].words = None;
        assert_eq!(walk(&keys(), &entries, head.as_ref()), Err(Broken::WordsGone(5)));
    }

    #[test]
    fn proofs_are_read_as_they_were_written() {
        let legacy = legacy::Head { seq: 17, hash: [0xab; 32] };
        for proof in [Proof::None, Proof::erased(&[1, 2, 3, 7, 9, 10]), Proof::Legacy(legacy)] {
            assert_eq!(Proof::parse(&proof.to_text()), Some(proof));
        }
        assert_eq!(Proof::erased(&[1, 2, 3, 7]), Proof::Erased(vec![(1, 3), (7, 7)]));
        assert_eq!(Proof::parse("{\"erased\": 1}"), None);
    }
}
