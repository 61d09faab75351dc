//! Edits of TOML that leave the text around them as it is.

use toml_edit::{Decor, Item, KeyMut, RawString, TableLike, Value};

/// The tables in a table of tables. It may be written in any of TOML's ways: with headers, dotted or inline.
pub(super) fn tables<'a>(root: &'a mut dyn TableLike, key: &str) -> Vec<(String, &'a mut dyn TableLike)> {
    let all = child(root, key).into_iter().flat_map(TableLike::iter_mut);
    all.filter_map(|(name, item)| Some((name.get().to_owned(), item.as_table_like_mut()?))).collect()
}

/// The table under a key.
pub(super) fn child<'a>(table: &'a mut dyn TableLike, key: &str) -> Option<&'a mut dyn TableLike> {
    table.get_mut(key)?.as_table_like_mut()
}

/// Sets a value and keeps the text around it: spaces, and a comment behind it.
pub(super) fn set(table: &mut dyn TableLike, key: &str, new: impl Into<Value>) {
    match table.get_mut(key) {
        Some(Item::Value(value)) => {
            let decor = value.decor().clone();
            *value = new.into();
            *value.decor_mut() = decor;
        }
        _ => {
            table.insert(key, toml_edit::value(new));
        }
    }
}

/// Edits the comments and empty lines above an entry. For a table without a header of its own they stand above its first
/// entry. `false` where there is no such place.
pub(super) fn above(key: &mut KeyMut, item: &mut Item, edit: impl FnOnce(&mut Decor)) -> bool {
    match item {
        Item::Table(table) if table.is_dotted() || table.is_implicit() => {
            return table.iter_mut().next().is_some_and(|(mut key, item)| above(&mut key, item, edit));
        }
        Item::ArrayOfTables(tables) => return tables.get_mut(0).map(|table| edit(table.decor_mut())).is_some(),
        Item::Table(table) => edit(table.decor_mut()),
        Item::Value(_) | Item::None => edit(key.leaf_decor_mut()),
    }
    true
}

/// The comments and empty lines above an entry.
pub(super) fn prefix(decor: &Decor) -> String {
    decor.prefix().and_then(RawString::as_str).unwrap_or_default().to_owned()
}

/// The key that follows a key.
pub(super) fn next(table: &dyn TableLike, key: &str) -> Option<String> {
    table.iter().map(|(name, _)| name).skip_while(|name| *name != key).nth(1).map(str::to_owned)
}
