//! A list that comes in pages, put together.

use connector_protocol::{Error, ErrorKind, Result, message::RunAnswer};
use serde_json::{Map, Value, value::RawValue};

use super::internal;

/// A list that is put together from pages: everything of the first page, and the items of all.
pub(super) struct List {
    whole: Value,
    items: String,
    /// Where it says how it goes on, as a JSON pointer.
    pub(super) cursor: Option<String>,
}

impl List {
    pub(super) fn begin(first: &RunAnswer, items: &str) -> Result<Self> {
        let whole: Value = serde_json::from_str(first.output.get()).map_err(internal)?;
        let mut list = Self { whole, items: items.to_owned(), cursor: None };
        list.items_mut()?;
        Ok(list)
    }

    fn items_mut(&mut self) -> Result<&mut Vec<Value>> {
        let pointer = &self.items;
        let list = self.whole.pointer_mut(pointer).and_then(Value::as_array_mut);
        list.ok_or_else(|| {
            Error::new(
                ErrorKind::ConnectorFault,
                format!("the connector's output has no list at `{pointer}`"),
            )
        })
    }

    pub(super) fn len(&self) -> usize {
        self.whole.pointer(&self.items).and_then(Value::as_array).map_or(0, Vec::len)
    }

    pub(super) fn add(&mut self, page: &RunAnswer) -> Result<()> {
        let mut page = Self::begin(page, &self.items)?;
        let more = std::mem::take(page.items_mut()?);
        self.items_mut()?.extend(more);
        // Where the list goes on, and what else a page says of itself, is what the last one says.
        if let (Value::Object(whole), Value::Object(last)) = (&mut self.whole, page.whole) {
            let list = self.items.trim_start_matches('/').split('/').next().unwrap_or_default().to_owned();
            let kept: Map<String, Value> = whole
                .iter()
                .filter(|(name, _)| **name == list)
                .map(|(n, v)| (n.clone(), v.clone()))
                .collect();
            *whole = last.into_iter().filter(|(name, _)| *name != list).collect();
            whole.extend(kept);
        }
        Ok(())
    }

    pub(super) fn finish(mut self, most: usize) -> Result<Box<RawValue>> {
        let cut = self.len() > most;
        self.items_mut()?.truncate(most);
        // What leads to the next page would lead past those that were cut off.
        if let (true, Some(at)) = (cut, &self.cursor)
            && let Some((parent, name)) = at.rsplit_once('/')
            && let Some(Value::Object(members)) = self.whole.pointer_mut(parent)
        {
            members.remove(name);
        }
        serde_json::value::to_raw_value(&self.whole).map_err(internal)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn page(output: &Value, next: Option<&str>) -> RunAnswer {
        RunAnswer { output: serde_json::value::to_raw_value(output).unwrap(), next: next.map(str::to_owned) }
    }

    #[test]
    fn pages_become_one_list_that_says_of_itself_what_the_last_page_said() {
        let mut list =
            List::begin(&page(&json!({"size": 2, "list": [1, 2], "token": "a"}), Some("a")), "/list")
                .unwrap();
        list.add(&page(&json!({"size": 2, "list": [3]}), None)).unwrap();
        assert_eq!(list.finish(10).unwrap().get(), r#"{"size":2,"list":[1,2,3]}"#);
    }

    #[test]
    fn a_list_may_be_the_whole_output_and_is_cut_at_the_limit() {
        let mut list = List::begin(&page(&json!([1, 2]), Some("a")), "").unwrap();
        list.add(&page(&json!([3, 4]), None)).unwrap();
        assert_eq!(list.finish(3).unwrap().get(), "[1,2,3]");
        assert!(List::begin(&page(&json!({"list": {}}), None), "/list").is_err());
    }
}
