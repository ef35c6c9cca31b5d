//! The members of a request body, and Elasticsearch's words for what is wrong with one.

use crate::{
    api::{
        json::{self, Field, Node, Position, Tree},
        suggest,
    },
    respond::Exception,
};

/// A body that is an object, read under the name that Elasticsearch gives its parser.
pub(super) struct Form {
    parser: &'static str,
    /// Its members, in the order of the document.
    pub(super) fields: Vec<Field>,
}

impl Form {
    /// Reads a body.
    ///
    /// # Errors
    ///
    /// Malformed JSON, and anything but an object.
    pub(super) fn read(parser: &'static str, body: &[u8]) -> Result<Self, Exception> {
        match json::read(body)? {
            Some(Node { tree: Tree::Object(fields), .. }) => Ok(Self { parser, fields }),
            Some(node) => {
                let text = format!("[{}] [{parser}] Expected START_OBJECT but was: {}", node.at, node.token());
                Err(Exception::content(text))
            }
            None => Err(Exception::content(format!("[1:0] [{parser}] Expected START_OBJECT but was: null"))),
        }
    }

    /// Members of an object inside of another.
    pub(super) fn of(parser: &'static str, fields: Vec<Field>) -> Self {
        Self { parser, fields }
    }

    /// A member that must be a text.
    ///
    /// # Errors
    ///
    /// Another type of value.
    pub(super) fn text<'a>(&self, field: &'a Field) -> Result<&'a str, Exception> {
        match &field.node.tree {
            Tree::Text(text) => Ok(text),
            _ => Err(self.mistyped(field)),
        }
    }

    /// A member has a type that it must not have.
    pub(super) fn mistyped(&self, field: &Field) -> Exception {
        mistyped(self.parser, field)
    }

    /// A member that the endpoint does not know.
    pub(super) fn unknown(&self, field: &Field, known: &[&str]) -> Exception {
        Exception::content(suggest::unknown_field(field.at, self.parser, &field.name, known))
    }

    /// A member could not be read.
    pub(super) fn unread(&self, at: Position, name: &str, cause: Exception) -> Exception {
        let parser = self.parser;
        Exception::content(format!("[{at}] [{parser}] failed to parse field [{name}]")).because(cause)
    }

    /// All members were read and do not go together.
    pub(super) fn unbuilt(&self, cause: Exception) -> Exception {
        Exception::content(format!("Failed to build [{}] after last required field arrived", self.parser))
            .because(cause)
    }
}

/// A member has a type that it must not have.
pub(super) fn mistyped(parser: &str, field: &Field) -> Exception {
    Exception::content(mistype(parser, field))
}

/// The words for it.
pub(super) fn mistype(parser: &str, field: &Field) -> String {
    let (at, name, token) = (field.node.at, &field.name, field.node.token());
    format!("[{at}] [{parser}] {name} doesn't support values of type: {token}")
}
