//! `_reindex`: from where to where.

use std::ops::Range;

use super::{
    Mention, Mentions, Name, ScanError,
    json::{Reader, Scratch},
};

/// What a reindex names.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Reindex<'a> {
    /// The index expressions that it reads, comma-separated ones apart.
    pub source: Vec<String>,
    /// Where the value of `source.index` stands: to narrow, [`super::replace`] it by an array.
    pub source_at: Range<usize>,
    /// Whether it reads from another cluster. That one asks for nobody's rights here.
    pub remote: bool,
    /// The index that it writes.
    pub destination: Option<Name<'a>>,
    /// Whether it writes with `op_type` `create`.
    pub creates: bool,
    /// A pipeline may send documents to another index.
    pub pipeline: Option<String>,
    /// A script may set `ctx._index`.
    pub script: bool,
    /// What its query names.
    pub mentions: Vec<Mention>,
}

impl<'a> Reindex<'a> {
    /// Reads a body.
    ///
    /// # Errors
    ///
    /// [`ScanError`] where it cannot be read exactly.
    pub fn read(body: &'a [u8]) -> Result<Self, ScanError> {
        let mut scratch = Scratch::default();
        let mut reader = Reader::new(body, &mut scratch)?;
        let mut reindex = Self::default();
        reader.object()?;
        while let Some(key) = reader.key()? {
            match &*key {
                "source" => reindex.source(&mut reader)?,
                "dest" => reindex.destination(&mut reader)?,
                "script" => {
                    reindex.script = true;
                    reader.skip()?;
                }
                "conflicts" | "max_docs" | "size" => reader.flat()?,
                _ => return Err(ScanError::Malformed("a reindex has an unknown parameter")),
            }
        }
        reader.end()?;
        if reindex.source.is_empty() || reindex.destination.is_none() {
            return Err(ScanError::Malformed("a reindex needs the indices of source and destination"));
        }
        Ok(reindex)
    }

    fn source(&mut self, reader: &mut Reader<'a, '_>) -> Result<(), ScanError> {
        let mut mentions = Mentions::default();
        reader.object()?;
        while let Some(key) = reader.key()? {
            match &*key {
                "index" => {
                    reader.peek();
                    let from = reader.at();
                    let mut names = Vec::new();
                    reader.names(&mut names)?;
                    self.source = names.iter().flat_map(|name| name.text.split(',')).map(str::to_owned).collect();
                    self.source_at = from..reader.at();
                }
                "remote" => {
                    self.remote = true;
                    reader.skip()?;
                }
                "pit" => return Err(ScanError::Opaque("a reindex from a point in time")),
                key => mentions.value(key, reader, 0)?,
            }
        }
        self.mentions.append(&mut mentions.indices);
        Ok(())
    }

    fn destination(&mut self, reader: &mut Reader<'a, '_>) -> Result<(), ScanError> {
        reader.object()?;
        while let Some(key) = reader.key()? {
            match &*key {
                "index" => self.destination = reader.name()?,
                "op_type" => self.creates = reader.name()?.is_some_and(|name| name.text == "create"),
                "pipeline" => self.pipeline = reader.name()?.map(|name| name.text.into_owned()),
                "routing" | "type" | "version_type" => reader.flat()?,
                _ => return Err(ScanError::Malformed("a reindex has an unknown parameter in dest")),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reindex_names_its_sources_its_destination_and_what_its_query_reads() {
        let body = br#"{"source":{"index":"a,b*","query":{"terms":{"f":{"index":"c","id":1,"path":"p"}}}},"dest":{"index":"d"}}"#;
        let reindex = Reindex::read(body).unwrap();
        assert_eq!(reindex.source, ["a", "b*"]);
        assert_eq!(body.get(reindex.source_at).unwrap(), br#""a,b*""#);
        assert_eq!(reindex.destination.unwrap().text, "d");
        assert_eq!(reindex.mentions.first().unwrap().index, "c");
        assert!(!reindex.remote && !reindex.script && !reindex.creates && reindex.pipeline.is_none());
    }

    #[test]
    fn a_reindex_tells_what_runs_elsewhere_or_writes_elsewhere() {
        let body = br#"{"source":{"index":["a"],"remote":{"host":"http://x"}},"script":{"source":"ctx._index='b'"},
            "dest":{"index":"d","pipeline":"p","op_type":"create"}}"#;
        let reindex = Reindex::read(body).unwrap();
        assert!(reindex.remote && reindex.script && reindex.creates);
        assert_eq!(reindex.pipeline.as_deref(), Some("p"));
    }

    #[test]
    fn a_reindex_that_says_something_unknown_is_refused() {
        for body in [
            r#"{"source":{"index":"a"},"dest":{"index":"d"},"x":1}"#,
            r#"{"source":{"index":"a"},"dest":{"index":"d","x":1}}"#,
            r#"{"source":{"index":"a","pit":{"id":"x"}},"dest":{"index":"d"}}"#,
            r#"{"source":{"index":"a"},"dest":{}}"#,
            r#"{"source":{},"dest":{"index":"d"}}"#,
            r#"{"source":{"index":"a","index":"b"},"dest":{"index":"d"}}"#,
        ] {
            assert!(Reindex::read(body.as_bytes()).is_err(), "{body}");
        }
    }
}
