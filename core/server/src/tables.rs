//! Every table there is: for whoever moves, counts or checks the whole store.
//!
//! Owns: the list. Does not: know what is in a table; each module lists its own.
//!
//! **Invariant:** a table that is not here is refused by an import and by a restore, so none may be
//! forgotten: a test reads the sources.

use crate::{account, app, audit, backend, login, session, store::KnownTable, token};

/// All tables, by id.
pub fn all() -> Vec<KnownTable> {
    let mut all = [
        account::tables(),
        app::tables(),
        audit::tables(),
        backend::tables(),
        login::tables(),
        session::tables(),
        token::tables(),
    ]
    .concat();
    all.sort_by_key(|table| table.id);
    all
}

/// What people call the table of this id.
pub fn name(id: u8) -> &'static str {
    let found = all().into_iter().find(|table| table.id == id);
    found.map_or("?", |table| table.name)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::{collections::BTreeSet, fs, path::Path};

    use super::*;

    fn declared(folder: &Path, found: &mut Vec<u8>) {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                // The store's own tests make tables of their own.
                if !path.ends_with("store") {
                    declared(&path, found);
                }
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            for (at, start) in text.match_indices("= Table::new(") {
                let rest = &text[at + start.len()..];
                found.extend(
                    rest.split(',')
                        .next()
                        .and_then(|id| id.trim().parse::<u8>().ok()),
                );
            }
        }
    }

    #[test]
    fn no_table_is_forgotten_and_no_id_is_used_twice() {
        let mut found = Vec::new();
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        declared(&sources, &mut found);
        let listed: Vec<u8> = all().iter().map(|table| table.id).collect();
        let unique: BTreeSet<u8> = found.iter().copied().collect();
        assert_eq!(unique.len(), found.len(), "an id is used twice: {found:?}");
        assert_eq!(
            listed,
            unique.into_iter().collect::<Vec<_>>(),
            "list new tables in the tables() of their module"
        );
    }
}
