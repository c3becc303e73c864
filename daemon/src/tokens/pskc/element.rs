//! An element of a PSKC file, and where it is.

use data_encoding::BASE64;
use roxmltree::{Document, Node};
use zeroize::Zeroizing;

use super::super::{Fault, File};
use crate::names::printable;

/// The namespaces that RFC 6030 uses. Writers confuse them (parameters of PBKDF2 are found in four), and no two of them
/// have an element of one name with two meanings: they are taken for one. What is in any other is an extension.
const NAMESPACES: [&str; 6] = [
    "urn:ietf:params:xml:ns:keyprov:pskc",
    "http://www.w3.org/2000/09/xmldsig#",
    "http://www.w3.org/2009/xmldsig11#",
    "http://www.w3.org/2001/04/xmlenc#",
    "http://www.w3.org/2009/xmlenc11#",
    "http://www.rsasecurity.com/rsalabs/pkcs/schemas/pkcs-5v2-0#",
];

#[derive(Clone, Copy)]
pub(super) struct Element<'a> {
    node: Node<'a, 'a>,
    file: &'a File<'a>,
}

impl<'a> Element<'a> {
    pub(super) fn root(document: &'a Document<'a>, file: &'a File<'a>) -> Self {
        Self { node: document.root_element(), file }
    }

    /// Byte in the file.
    pub(super) fn at(self) -> usize {
        self.node.range().start
    }

    pub(super) fn fault(self, sentence: impl Into<String>) -> Fault {
        self.file.fault(self.at(), sentence)
    }

    pub(super) fn name(self) -> String {
        printable(self.node.tag_name().name(), 64)
    }

    pub(super) fn is(self, name: &str) -> bool {
        let tag = self.node.tag_name();
        tag.name() == name && tag.namespace().is_none_or(|namespace| NAMESPACES.contains(&namespace))
    }

    pub(super) fn attribute(self, name: &str) -> Option<&'a str> {
        self.node.attribute(name)
    }

    pub(super) fn children(self) -> impl Iterator<Item = Self> {
        self.node.children().filter(Node::is_element).map(move |node| Self { node, ..self })
    }

    /// Whether there is such an element anywhere below.
    pub(super) fn contains(self, name: &str) -> bool {
        self.node.descendants().any(|node| Self { node, ..self }.is(name))
    }

    /// The one child of this name. Of two, readers take now the first and now the last: neither is taken.
    pub(super) fn child(self, name: &str) -> Result<Option<Self>, Fault> {
        let mut found = self.children().filter(|child| child.is(name));
        let first = found.next();
        match found.next() {
            Some(second) => Err(second.fault(format!("there is more than one {name}"))),
            None => Ok(first),
        }
    }

    pub(super) fn required(self, name: &str) -> Result<Self, Fault> {
        self.child(name)?.ok_or_else(|| self.fault(format!("{} has no {name}", self.name())))
    }

    /// The text in it, all of it: one that a comment divides is not cut short there.
    pub(super) fn content(self) -> Result<Zeroizing<String>, Fault> {
        if let Some(child) = self.children().next() {
            return Err(child.fault(format!("there is an element where {} has its text", self.name())));
        }
        let parts = self.node.children().filter(Node::is_text).filter_map(|node| node.text());
        let mut text = Zeroizing::new(String::with_capacity(parts.clone().map(str::len).sum()));
        text.extend(parts);
        let trimmed = text.trim();
        Ok(if trimmed.len() == text.len() { text } else { Zeroizing::new(trimmed.to_owned()) })
    }

    /// Base64 in lines (xs:base64Binary).
    pub(super) fn base64(self) -> Result<Zeroizing<Vec<u8>>, Fault> {
        let text = self.content()?;
        let mut plain = Zeroizing::new(Vec::with_capacity(text.len()));
        plain.extend(text.bytes().filter(|byte| !byte.is_ascii_whitespace()));
        let bytes = BASE64.decode(&plain).map_err(|_| self.fault(format!("{} is no Base64", self.name())))?;
        Ok(Zeroizing::new(bytes))
    }
}
