//! Whose clock a delay goes by.

use crate::action::ContactUse;
use crate::facts::{Facts, FieldPath, LocalZone, Tz, ZoneOf};
use crate::interpreter::StepError;
use crate::json::excerpt;
use crate::template::ValueTemplate;
use crate::workflow::compile::{Reader, Section};
use serde_json::{Map, Value};

const OPTION: &str = "timezone";

/// The option `timezone`: without one the contact's zone counts, then the tenant's.
#[derive(Clone, Debug)]
pub(super) struct Clock(Option<ValueTemplate>);

/// The zone that counts, and why it is this one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Chosen {
    pub(super) zone: Tz,
    of: &'static str,
    /// Why it is no nearer one.
    note: Option<String>,
}

impl Clock {
    /// `None` for one that is no zone, which is a problem.
    pub(super) fn read(reader: &mut Reader<'_>, section: Section<'_>) -> Option<Self> {
        let Some(value) = section.get(OPTION) else { return Some(Self(None)) };
        let template = reader.template(value, &section.at(OPTION))?;
        if template.is_literal() {
            let name = reader.text(section, OPTION)?;
            reader.zone(name, section.at(OPTION))?;
        }
        Some(Self(Some(template)))
    }

    pub(super) fn references(&self) -> impl Iterator<Item = (&FieldPath, String)> {
        let paths = self.0.iter().flat_map(ValueTemplate::references);
        paths.map(|path| (path, OPTION.to_owned()))
    }

    /// A zone that stands in the file needs no other.
    pub(super) fn contact(&self) -> ContactUse {
        if self.0.as_ref().is_some_and(ValueTemplate::is_literal) {
            ContactUse::None
        } else {
            ContactUse::Optional
        }
    }

    /// What a template or a contact has that is no zone is passed over, and noted: a delay does not fail for it.
    pub(super) fn choose(&self, facts: &Facts<'_>) -> Result<Chosen, StepError> {
        let Some(option) = &self.0 else { return Ok(by_default(facts)) };
        let error =
            |failed: crate::template::RenderError| StepError { code: failed.code, message: failed.message };
        let rendered = option.render(facts).map_err(error)?;
        match rendered.as_str().and_then(|name| name.trim().parse().ok()) {
            Some(zone) => Ok(Chosen { zone, of: "node", note: None }),
            None => {
                let note = format!("timezone came to {}, which is not a time zone", excerpt(&rendered));
                let chosen = by_default(facts);
                let note = chosen.note.iter().fold(note, |note, why| format!("{note}; {why}"));
                Ok(Chosen { note: Some(note), ..chosen })
            }
        }
    }
}

fn by_default(facts: &Facts<'_>) -> Chosen {
    let LocalZone { zone, of } = facts.zone();
    let (of, note) = match of {
        ZoneOf::Contact => ("contact", None),
        ZoneOf::Tenant if facts.contact.is_none() => ("tenant", Some("there is no contact".to_owned())),
        ZoneOf::Tenant => ("tenant", Some("the contact has no time zone".to_owned())),
        ZoneOf::TenantInsteadOf(name) => {
            let name = excerpt(&Value::String(name));
            ("tenant", Some(format!("the contact's {name} is not a time zone")))
        }
    };
    Chosen { zone, of, note }
}

impl Chosen {
    /// What the log tells of it.
    pub(super) fn tell(&self, detail: &mut Map<String, Value>) {
        detail.insert("timezone".to_owned(), self.zone.name().into());
        detail.insert("timezone_of".to_owned(), self.of.into());
        if let Some(note) = &self.note {
            detail.insert("timezone_note".to_owned(), note.as_str().into());
        }
    }
}
