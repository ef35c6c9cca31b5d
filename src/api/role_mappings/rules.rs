//! The rules of a role mapping, and the original's words for what is none (API page section 8.4).

use crate::{
    api::json::{Field, Node, Position, Tree},
    respond::Exception,
    role_mappings::Constant,
};

/// What is wrong with rules, and where.
pub(super) struct Fault {
    pub(super) at: Position,
    pub(super) cause: Exception,
}

/// Judges the rules of the mapping `name`.
///
/// # Errors
///
/// What is no rule.
pub(super) fn check(name: &str, node: &Node) -> Result<(), Fault> {
    expression(name, false, node)
}

/// One rule, within `parent`; `except` stands within `all` only.
fn expression(parent: &str, may_except: bool, node: &Node) -> Result<(), Fault> {
    let Tree::Object(fields) = &node.tree else {
        let token = node.token();
        return fault(node.at, &format!("expected [{parent}] to be an object but found [{token}] instead"));
    };
    let rule = only(parent, fields, node)?;
    match rule.name.as_str() {
        kind @ ("all" | "any") => {
            let Tree::List(items) = &rule.node.tree else {
                return fault(rule.node.at, &format!("field [{kind}] requires an array"));
            };
            items.iter().try_for_each(|item| expression(kind, kind == "all", item))
        }
        "except" if !may_except => fault(rule.at, &format!("field [except] is not allowed within [{parent}]")),
        "except" => {
            object(&rule.node)?;
            expression("except", false, &rule.node)
        }
        "field" => field(rule),
        other => fault(rule.at, &format!("field [{other}] is not recognised in object [{parent}]")),
    }
    .and_then(|()| fields.get(1).map_or(Ok(()), |second| several(parent, second)))
}

fn field(rule: &Field) -> Result<(), Fault> {
    let fields = object(&rule.node)?;
    let member = only("field", fields, &rule.node)?;
    match &member.node.tree {
        Tree::List(items) if items.is_empty() => {
            let cause = Exception::argument("null or empty values ([])");
            // Noticed only behind the list.
            return Err(Fault { at: rule.node.end, cause });
        }
        Tree::List(items) => items.iter().try_for_each(constant)?,
        _ => constant(&member.node)?,
    }
    fields.get(1).map_or(Ok(()), |second| several("field", second))
}

fn constant(node: &Node) -> Result<(), Fault> {
    match &node.tree {
        Tree::List(_) | Tree::Object(_) => {
            fault(node.at, &format!("expected a field value but found [{}] instead", node.token()))
        }
        _ if Constant::of(&node.value()).is_none() => {
            let cause = Exception::argument(format!("invalid pattern {}", node.value()));
            Err(Fault { at: node.at, cause })
        }
        _ => Ok(()),
    }
}

fn object(node: &Node) -> Result<&[Field], Fault> {
    match &node.tree {
        Tree::Object(fields) => Ok(fields),
        _ => fault(node.at, &format!("expected an object but found [{}] instead", node.token())),
    }
}

fn only<'a>(name: &str, fields: &'a [Field], node: &Node) -> Result<&'a Field, Fault> {
    match fields.first() {
        Some(first) => Ok(first),
        None => fault(node.end, &format!("object [{name}] does not contain any fields")),
    }
}

fn several(name: &str, second: &Field) -> Result<(), Fault> {
    fault(second.at, &format!("object [{name}] contains multiple fields"))
}

fn fault<T>(at: Position, text: &str) -> Result<T, Fault> {
    Err(Fault { at, cause: Exception::parse(format!("failed to parse rules expression. {text}")) })
}
