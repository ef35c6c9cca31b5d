//! The password that a body gives a user, in the clear or as a hash (API page section 7.2).

use crate::{
    api::{
        failure::Validation,
        json::{self, Field, Node, Tree},
        users::{INVALID_USER, mistyped},
    },
    passwords::PasswordHash,
    respond::Exception,
    secret::SecretText,
};

/// A password that a user is to have.
pub(super) enum NewPassword {
    Hash(PasswordHash),
    Plain(SecretText),
}

/// Room for one password.
#[derive(Default)]
pub(super) struct Slot(pub(super) Option<NewPassword>);

impl Slot {
    pub(super) fn is_given(&self) -> bool {
        self.0.is_some()
    }

    /// Takes the member `password` or `password_hash`.
    pub(super) fn fill(&mut self, field: &Field) -> Result<(), Exception> {
        let Tree::Text(text) = &field.node.tree else { return Err(mistyped(field, "string")) };
        let mut validation = Validation::default();
        let new = if field.name == "password_hash" {
            NewPassword::Hash(PasswordHash::foreign(text).ok_or_else(|| Exception::argument(NO_HASH))?)
        } else {
            validation.refuse(text.chars().count() < 6, "passwords must be at least [6] characters long");
            NewPassword::Plain(SecretText::new(text.clone()))
        };
        validation.finish(INVALID_USER)?;
        validation.refuse(self.is_given(), "password_hash has already been set");
        validation.finish(INVALID_USER)?;
        self.0 = Some(new);
        Ok(())
    }
}

/// Reads a body that changes nothing but the password.
///
/// # Errors
///
/// Anything else in it.
pub(super) fn read(body: &[u8]) -> Result<Slot, Exception> {
    let node = json::read(body)?;
    let Some(Node { tree: Tree::Object(fields), .. }) = &node else {
        let token = node.as_ref().map_or("null", Node::token);
        return Err(Exception::parse(format!("expected an object, but found token [{token}]")));
    };
    let mut password = Slot::default();
    for field in fields {
        match field.name.as_str() {
            "password" | "password_hash" => password.fill(field)?,
            other => {
                let text = format!("failed to parse change password request. unexpected field [{other}]");
                return Err(Exception::parse(text));
            }
        }
    }
    Ok(password)
}

const NO_HASH: &str = "The provided password hash is not a hash or it could not be resolved to a supported hash algorithm. \
    The supported password hash algorithms are [bcrypt, bcrypt4, bcrypt5, bcrypt6, bcrypt7, bcrypt8, bcrypt9, bcrypt10, \
    bcrypt11, bcrypt12, bcrypt13, bcrypt14, pbkdf2, pbkdf2_1000, pbkdf2_10000, pbkdf2_50000, pbkdf2_100000, \
    pbkdf2_500000, pbkdf2_1000000, pbkdf2_stretch, pbkdf2_stretch_1000, pbkdf2_stretch_10000, pbkdf2_stretch_50000, \
    pbkdf2_stretch_100000, pbkdf2_stretch_500000, pbkdf2_stretch_1000000]";
