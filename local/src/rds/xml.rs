//! Responses as trees of elements, with names, texts and lists as the Query protocol has them, escaped.

use axum::http::StatusCode;
use quick_xml::Writer;
use quick_xml::events::{BytesEnd, BytesStart, BytesText, Event};
use std::fmt::Display;
use std::io;

const NAMESPACE: &str = "http://rds.amazonaws.com/doc/2014-10-31/";

/// An element: either a text or children.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Element {
    name: &'static str,
    content: Content,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Content {
    Text(String),
    Children(Vec<Element>),
}

impl Element {
    /// An element without children yet.
    pub fn new(name: &'static str) -> Self {
        Self { name, content: Content::Children(Vec::new()) }
    }

    /// The same content under another name.
    pub fn named(mut self, name: &'static str) -> Self {
        self.name = name;
        self
    }

    /// With another child.
    pub fn child(mut self, child: Element) -> Self {
        match &mut self.content {
            Content::Children(children) => children.push(child),
            // An element has either; the last one wins, as no caller mixes them.
            Content::Text(_) => self.content = Content::Children(vec![child]),
        }
        self
    }

    /// With a child that holds a text.
    pub fn field(self, name: &'static str, value: impl Display) -> Self {
        self.child(Self { name, content: Content::Text(value.to_string()) })
    }

    /// With a child that holds a text, when there is one.
    pub fn optional(self, name: &'static str, value: Option<impl Display>) -> Self {
        match value {
            Some(value) => self.field(name, value),
            None => self,
        }
    }

    /// With a list, there even when it is empty.
    pub fn list(self, name: &'static str, items: impl IntoIterator<Item = Element>) -> Self {
        self.child(Self { name, content: Content::Children(items.into_iter().collect()) })
    }

    /// With a list of texts.
    pub fn texts(self, name: &'static str, member: &'static str, items: impl IntoIterator<Item: Display>) -> Self {
        let texts = items.into_iter().map(|item| Self { name: member, content: Content::Text(item.to_string()) });
        self.list(name, texts)
    }

    fn write(&self, writer: &mut Writer<Vec<u8>>) -> io::Result<()> {
        match &self.content {
            // Empty lists are written: the SDKs tell an empty list from one that is not there.
            Content::Children(children) if children.is_empty() => {
                writer.write_event(Event::Empty(BytesStart::new(self.name)))
            }
            Content::Children(children) => {
                writer.write_event(Event::Start(BytesStart::new(self.name)))?;
                children.iter().try_for_each(|child| child.write(writer))?;
                writer.write_event(Event::End(BytesEnd::new(self.name)))
            }
            Content::Text(text) => {
                writer.write_event(Event::Start(BytesStart::new(self.name)))?;
                writer.write_event(Event::Text(BytesText::new(text)))?;
                writer.write_event(Event::End(BytesEnd::new(self.name)))
            }
        }
    }
}

/// Writes the document of a successful `action`; `result` has the children of the result wrapper, for actions that have one.
pub fn response(action: &str, result: Option<&Element>, request_id: &str) -> io::Result<Vec<u8>> {
    document(&format!("{action}Response"), |writer| {
        if let Some(result) = result {
            // The wrapper is named after the action, so its element can't have a static name.
            let name = format!("{action}Result");
            writer.write_event(Event::Start(BytesStart::new(&name)))?;
            if let Content::Children(children) = &result.content {
                children.iter().try_for_each(|child| child.write(writer))?;
            }
            writer.write_event(Event::End(BytesEnd::new(&name)))?;
        }
        Element::new("ResponseMetadata").field("RequestId", request_id).write(writer)
    })
}

/// Writes the document of an error.
pub fn error(code: &str, status: StatusCode, message: &str, request_id: &str) -> io::Result<Vec<u8>> {
    // SDKs retry errors of the receiver and not those of the sender.
    let side = if status.is_client_error() { "Sender" } else { "Receiver" };
    document("ErrorResponse", |writer| {
        Element::new("Error").field("Type", side).field("Code", code).field("Message", message).write(writer)?;
        Element::new("RequestId").named("RequestId").write_text(request_id, writer)
    })
}

impl Element {
    fn write_text(self, text: &str, writer: &mut Writer<Vec<u8>>) -> io::Result<()> {
        Self { content: Content::Text(text.to_owned()), ..self }.write(writer)
    }
}

fn document(root: &str, body: impl FnOnce(&mut Writer<Vec<u8>>) -> io::Result<()>) -> io::Result<Vec<u8>> {
    let mut writer = Writer::new(Vec::new());
    writer.write_event(Event::Start(BytesStart::new(root).with_attributes([("xmlns", NAMESPACE)])))?;
    body(&mut writer)?;
    writer.write_event(Event::End(BytesEnd::new(root)))?;
    Ok(writer.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_wrapped_as_the_query_protocol_wants_it() {
        let result = Element::new("x").list("Items", [Element::new("Item").field("Name", "a<b&c")]).list("None", []);
        let text = String::from_utf8(response("DescribeItems", Some(&result), "id-1").unwrap()).unwrap();
        assert_eq!(
            text,
            "<DescribeItemsResponse xmlns=\"http://rds.amazonaws.com/doc/2014-10-31/\"><DescribeItemsResult>\
             <Items><Item><Name>a&lt;b&amp;c</Name></Item></Items><None/></DescribeItemsResult>\
             <ResponseMetadata><RequestId>id-1</RequestId></ResponseMetadata></DescribeItemsResponse>"
        );
    }

    #[test]
    fn an_action_without_a_result_answers_only_its_metadata() {
        let text = String::from_utf8(response("AddTagsToResource", None, "r").unwrap()).unwrap();
        assert!(!text.contains("Result>"), "{text}");
    }

    #[test]
    fn an_error_names_whose_fault_it_is() {
        let text = |status| String::from_utf8(error("Code", status, "why", "r").unwrap()).unwrap();
        assert!(
            text(StatusCode::NOT_FOUND).contains("<Error><Type>Sender</Type><Code>Code</Code><Message>why</Message>")
        );
        assert!(text(StatusCode::INTERNAL_SERVER_ERROR).contains("<Type>Receiver</Type>"));
    }
}
