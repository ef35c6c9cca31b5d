//! The action line of a bulk item: `{"index":{"_index":"logs","_id":"1"}}`.

use std::borrow::Cow;

use super::{
    ScanError,
    bulk::Op,
    json::{Reader, Scratch},
};

/// What an action line says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Action<'a> {
    pub(super) op: Op,
    pub(super) index: Option<Cow<'a, str>>,
    pub(super) id: Option<Cow<'a, str>>,
    pub(super) pipeline: Option<Cow<'a, str>>,
    pub(super) require_alias: bool,
    pub(super) external: bool,
}

/// Reads one line. `None` for a blank one, which clusters step over.
pub(super) fn read<'a>(line: &'a [u8], scratch: &mut Scratch) -> Result<Option<Action<'a>>, ScanError> {
    let mut reader = Reader::new(line, scratch)?;
    if reader.peek().is_none() {
        return Ok(None);
    }
    reader.object()?;
    let op = match reader.key()?.as_deref() {
        Some("create") => Op::Create,
        Some("delete") => Op::Delete,
        Some("index") => Op::Index,
        Some("update") => Op::Update,
        _ => return Err(ScanError::Malformed("an action line begins with no known action")),
    };
    let mut action = Action { op, index: None, id: None, pipeline: None, require_alias: false, external: false };
    reader.object()?;
    while let Some(key) = reader.key()? {
        member(&mut action, &key, &mut reader)?;
    }
    // Clusters read the first action alone, and run it.
    if reader.key()?.is_some() {
        return Err(ScanError::Malformed("an action line has more than one action"));
    }
    reader.end()?;
    Ok(Some(action))
}

fn member<'a>(action: &mut Action<'a>, key: &str, reader: &mut Reader<'a, '_>) -> Result<(), ScanError> {
    let text = |name: Option<super::Name<'a>>| name.map(|name| name.text);
    match key {
        "_index" => action.index = text(reader.name()?),
        "_id" => action.id = text(reader.scalar()?),
        "pipeline" => action.pipeline = text(reader.name()?),
        "require_alias" => action.require_alias = reader.name()?.is_some_and(|name| name.text == "true"),
        "version_type" | "_version_type" => {
            action.external = reader.name()?.is_some_and(|name| name.text != "internal");
        }
        "op_type" => {
            let create = reader.name()?.is_some_and(|name| name.text == "create");
            if create && action.op == Op::Index {
                action.op = Op::Create;
            }
        }
        "_source" | "dynamic_templates" => reader.shallow()?,
        "_type"
        | "routing"
        | "_routing"
        | "parent"
        | "_parent"
        | "version"
        | "_version"
        | "if_seq_no"
        | "if_primary_term"
        | "retry_on_conflict"
        | "_retry_on_conflict"
        | "require_data_stream"
        | "list_executed_pipelines"
        | "fields" => reader.flat()?,
        _ => return Err(ScanError::Malformed("an action line has an unknown parameter")),
    }
    Ok(())
}
