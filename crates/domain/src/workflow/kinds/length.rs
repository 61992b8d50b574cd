//! How long a node waits at most: a duration, or a template that gives one.

use crate::duration;
use crate::facts::FieldPath;
use crate::interpreter::{StepError, Visit, Walk};
use crate::json::excerpt;
use crate::step_code::StepCode;
use crate::template::{RenderError, ValueTemplate};
use crate::workflow::compile::{Reader, Section};
use chrono::TimeDelta;

/// An option that is a duration.
#[derive(Clone, Debug)]
pub(super) struct Length {
    name: &'static str,
    value: ValueTemplate,
}

impl Length {
    /// The option of this name, if it is there; problems stay with the reader.
    pub(super) fn read(
        reader: &mut Reader<'_>,
        section: Section<'_>,
        name: &'static str,
    ) -> Option<Option<Self>> {
        let Some(value) = section.get(name) else { return Some(None) };
        let at = section.at(name);
        let template = reader.template(value, &at)?;
        if template.is_literal() {
            reader.duration(value, &at)?;
        }
        Some(Some(Self { name, value: template }))
    }

    pub(super) fn references(&self) -> impl Iterator<Item = (&FieldPath, String)> {
        self.value.references().into_iter().map(|path| (path, self.name.to_owned()))
    }

    /// How long.
    pub(super) fn get(&self, walk: &Walk<'_>, visit: Visit<'_>) -> Result<TimeDelta, StepError> {
        let error = |error: RenderError| StepError { code: error.code, message: error.message };
        let rendered = walk.evaluate(visit, |facts| self.value.render(facts).map_err(error))?;
        duration::of_value(&rendered).ok_or_else(|| StepError {
            code: StepCode::InvalidDuration.into(),
            message: format!("{}: {} is not {}", self.name, excerpt(&rendered), duration::WANTED),
        })
    }
}
