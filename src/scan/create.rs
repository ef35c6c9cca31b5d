//! Bodies that make an index (create, rollover, shrink, split, clone) or change its settings.

use super::{
    Mention, Purpose, ScanError, alias,
    json::{Kind, Reader, Scratch},
};

/// What such a body names.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Creation {
    /// Its aliases, each of which needs what an alias action needs.
    pub aliases: Vec<String>,
    /// Pipelines that will run on what is written or searched, and may send a document to another index; `_none` is none.
    pub pipelines: Vec<String>,
    /// What the filters of aliases and the runtime fields of the mapping name.
    pub mentions: Vec<Mention>,
}

impl Creation {
    /// Reads the body of a creation, a rollover, a resize, or new settings; it may be empty.
    ///
    /// # Errors
    ///
    /// [`ScanError`] where it cannot be read exactly.
    pub fn read(body: &[u8]) -> Result<Self, ScanError> {
        let mut scratch = Scratch::default();
        let mut reader = Reader::new(body, &mut scratch)?;
        let mut creation = Self::default();
        if reader.peek().is_none() {
            return Ok(creation);
        }
        reader.object()?;
        while let Some(key) = reader.key()? {
            match &*key {
                "aliases" => alias::aliases(&mut reader, &mut creation.aliases, &mut creation.mentions)?,
                "mappings" => lookups(&mut reader, &mut creation.mentions)?,
                key => creation.settings(key, &mut reader)?,
            }
        }
        reader.end()?;
        Ok(creation)
    }

    /// Looks for pipelines: settings are nested, dotted, or both.
    fn settings(&mut self, key: &str, reader: &mut Reader<'_, '_>) -> Result<(), ScanError> {
        match reader.kind()? {
            Kind::Object => {
                reader.object()?;
                while let Some(inner) = reader.key()? {
                    self.settings(&inner, reader)?;
                }
            }
            Kind::Array => reader.skip()?,
            Kind::Scalar => {
                let value = reader.scalar()?;
                if matches!(key.rsplit('.').next(), Some("default_pipeline" | "final_pipeline")) {
                    self.pipelines.extend(value.map(|name| name.text.into_owned()));
                }
            }
        }
        Ok(())
    }
}

/// Looks for the runtime fields of a mapping that search another index.
fn lookups(reader: &mut Reader<'_, '_>, mentions: &mut Vec<Mention>) -> Result<(), ScanError> {
    match reader.kind()? {
        Kind::Object => {
            reader.object()?;
            while let Some(key) = reader.key()? {
                if key == "target_index" && reader.kind()? == Kind::Scalar {
                    mentions.extend(
                        reader
                            .scalar()?
                            .map(|name| Mention { purpose: Purpose::Lookup, index: name.text.into_owned() }),
                    );
                } else {
                    lookups(reader, mentions)?;
                }
            }
            Ok(())
        }
        Kind::Array => {
            reader.array()?;
            while reader.item()? {
                lookups(reader, mentions)?;
            }
            Ok(())
        }
        Kind::Scalar => reader.scalar().map(|_| ()),
    }
}
