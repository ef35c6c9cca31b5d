//! Bodies that make an index (create, rollover, shrink, split, clone) or change its settings or mapping.

use super::{
    Mention, ScanError, alias,
    json::{Kind, Reader, Scratch},
};

/// What such a body names.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Creation {
    /// Its aliases, each of which needs what an alias action needs.
    pub aliases: Vec<String>,
    /// Pipelines that will run on what is written or searched, and may send a document to another index; `_none` is none.
    pub pipelines: Vec<String>,
    /// What the filters of aliases name.
    pub mentions: Vec<Mention>,
    /// What its mapping reads.
    pub mapping: Mapping,
}

/// What a mapping makes a cluster read of other indices.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Mapping {
    /// Indices that its runtime fields of type `lookup` search.
    pub lookups: Vec<String>,
    /// Whether a field stores queries. Clusters fetch what a stored query looks up, in their own name, when it is written: whoever
    /// writes there reads any document, and no scan of writes is made for it.
    pub percolator: bool,
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
                "mappings" => creation.mapping.value(&mut reader)?,
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

impl Mapping {
    /// Reads the body of `_mapping`.
    ///
    /// # Errors
    ///
    /// [`ScanError`] where it cannot be read exactly.
    pub fn read(body: &[u8]) -> Result<Self, ScanError> {
        let mut scratch = Scratch::default();
        let mut reader = Reader::new(body, &mut scratch)?;
        let mut mapping = Self::default();
        mapping.value(&mut reader)?;
        reader.end()?;
        Ok(mapping)
    }

    fn value(&mut self, reader: &mut Reader<'_, '_>) -> Result<(), ScanError> {
        match reader.kind()? {
            Kind::Object => {
                reader.object()?;
                while let Some(key) = reader.key()? {
                    if reader.kind()? != Kind::Scalar {
                        self.value(reader)?;
                        continue;
                    }
                    let value = reader.scalar()?.map(|name| name.text);
                    match &*key {
                        "target_index" => self.lookups.extend(value.map(Into::into)),
                        "type" => self.percolator |= value.is_some_and(|kind| kind == "percolator"),
                        _ => {}
                    }
                }
                Ok(())
            }
            Kind::Array => {
                reader.array()?;
                while reader.item()? {
                    self.value(reader)?;
                }
                Ok(())
            }
            Kind::Scalar => reader.scalar().map(|_| ()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_creation_names_its_aliases_and_what_their_filters_read() {
        let body = br#"{"aliases":{"x":{},"\u0079":{"is_write_index":true,
            "filter":{"terms":{"f":{"index":"b","id":"1","path":"p"}}}}}}"#;
        let creation = Creation::read(body).unwrap();
        assert_eq!(creation.aliases, ["x", "y"]);
        assert_eq!(creation.mentions.first().unwrap().index, "b");
    }

    #[test]
    fn a_pipeline_is_found_however_its_setting_is_written() {
        for body in [
            r#"{"settings":{"index":{"default_pipeline":"p"}}}"#,
            r#"{"settings":{"index.final_pipeline":"p"}}"#,
            r#"{"settings":{"default_pipeline":"p"}}"#,
            r#"{"settings":{"index":{"search":{"default_pipeline":"p"}}}}"#,
            r#"{"index.default_pipeline":"p"}"#,
            r#"{"index":{"\u0064efault_pipeline":"p"}}"#,
        ] {
            assert_eq!(Creation::read(body.as_bytes()).unwrap().pipelines, ["p"], "{body}");
        }
    }

    #[test]
    fn a_mapping_tells_what_it_reads_of_other_indices() {
        let mapping = r#"{"runtime":{"r":{"type":"lookup","target_index":"b"}},
            "properties":{"type":{"type":"keyword","index":false},"q":{"type":"percolator"}}}"#;
        let expected = Mapping { lookups: vec!["b".to_owned()], percolator: true };
        assert_eq!(Mapping::read(mapping.as_bytes()).unwrap(), expected);
        let creation = Creation::read(format!(r#"{{"mappings":{mapping}}}"#).as_bytes()).unwrap();
        assert_eq!((creation.mapping, creation.mentions), (expected, vec![]));
    }

    #[test]
    fn a_mapping_of_usual_fields_reads_nothing() {
        let mapping = Mapping::read(br#"{"properties":{"percolator":{"type":"keyword"}}}"#).unwrap();
        assert_eq!(mapping, Mapping::default());
    }

    #[test]
    fn what_cannot_be_read_exactly_is_refused() {
        for body in [r#"{"aliases":{"x":{"foo":1}}}"#, r#"{"aliases":["x"]}"#, r#"{"a":1,"a":2}"#, "{} {}"] {
            assert!(Creation::read(body.as_bytes()).is_err(), "{body}");
        }
        assert_eq!(Creation::read(b""), Ok(Creation::default()));
    }
}
