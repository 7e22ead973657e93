//! What stays with an installation: an export does not hold it, and an import takes it from none, so that one of an older
//! server, or one that somebody altered, brings no key along. A backup holds it all.

use std::sync::LazyLock;

use crate::{
    app, audit, backend,
    token::{self, installation::INSTALLATION, keynotes::KEY_NOTES},
};

/// What goes with a keyring: the mark of the installation, what is noted of its keys and of its configuration, and the
/// audit trail, whose seal is worth nothing without it (`omnigent audit export` is its way out).
static WITH_KEYRING: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut tables = vec![INSTALLATION.known(), KEY_NOTES.known()];
    tables.extend(app::tables());
    tables.extend(audit::tables());
    tables.iter().map(|table| table.id).collect()
});

/// Whether the record under this key of this table does.
pub(super) fn stays(table: u8, key: &[u8]) -> bool {
    WITH_KEYRING.contains(&table) || token::is_progress(table, key) || backend::stays(table, key)
}
