//! The chain of certificates in a body (API page section 10).

use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::{
    api::{
        form::Form,
        json::{Field, Node, Tree},
    },
    identify::Certificate,
    respond::Exception,
};

/// Distinguished name of the first certificate; `None` for an empty chain.
///
/// # Errors
///
/// What holds no certificates.
pub(super) fn subject(body: &[u8]) -> Result<Option<String>, Exception> {
    let form = Form::read("delegate_pki_request", body)?;
    let mut chain = None;
    for field in &form.fields {
        match (field.name.as_str(), &field.node.tree) {
            ("x509_certificate_chain", Tree::List(items)) => {
                chain = Some(items.iter().map(|item| certificate(&form, field, item)).collect::<Result<Vec<_>, _>>()?);
            }
            ("x509_certificate_chain", Tree::Text(_)) => chain = Some(vec![certificate(&form, field, &field.node)?]),
            ("x509_certificate_chain", _) => return Err(form.mistyped(field)),
            _ => return Err(form.unknown(field, &["x509_certificate_chain"])),
        }
    }
    match chain {
        Some(subjects) => Ok(subjects.into_iter().next()),
        None => Err(form.unbuilt(Exception::argument("x509_certificate_chain is required"))),
    }
}

fn certificate(form: &Form, field: &Field, item: &Node) -> Result<String, Exception> {
    let unread = |cause| form.unread(item.at, &field.name, cause);
    let text = match &item.tree {
        Tree::Text(text) => text.clone(),
        _ => item.value().to_string(),
    };
    let der = match STANDARD.decode(&text) {
        Ok(der) => der,
        Err(_) if text.len() < 2 => {
            return Err(unread(Exception::argument("Input byte[] should at least have 2 bytes for base64 bytes")));
        }
        Err(error) => return Err(unread(Exception::argument(error.to_string()))),
    };
    if let Some(certificate) = Certificate::read(&der) {
        return Ok(certificate.dn.into());
    }
    let text = "Could not parse certificate: java.io.IOException: Empty input";
    let cause = Exception::new("certificate_exception", text).because(Exception::new("i_o_exception", "Empty input"));
    let whole = Exception::new("runtime_exception", format!("java.security.cert.CertificateException: {text}"));
    Err(unread(whole.because(cause)))
}
