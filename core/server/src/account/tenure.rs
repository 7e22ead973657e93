//! Which plugin the name of a backend belongs to. Identities, and what a backend keeps of its people, are
//! told apart by the name alone.
//!
//! **Invariant:** as long as anything is there under a name, no other plugin gets it: whom one calls `7`,
//! and what it keeps of them, means nothing to another, or somebody else.

use serde::{Deserialize, Serialize};

use super::{IDENTITIES, IdentityKey, REMNANTS};
use crate::{
    backend::keeps_anything,
    config::Backend,
    store::{Read, Record, StoreError, Table, Tx},
};

/// The plugin that each name was last given to.
pub(super) const TENANTS: Table<str, Tenant> = Table::new(33, "backend-plugins");

/// A plugin, by its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tenant {
    plugin: String,
}

impl Record for Tenant {
    const VERSION: u8 = 1;
}

/// A name, and the plugin it is to be given to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenancy {
    /// The backend's name.
    pub backend: String,
    /// The plugin's.
    pub plugin: String,
}

impl Tenancy {
    /// Of a configured backend.
    pub fn of(backend: &Backend) -> Self {
        Self {
            backend: backend.name.clone(),
            plugin: backend.plugin.clone(),
        }
    }
}

/// A name that belongs to another plugin than the configuration gives it to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "backend.{backend}.plugin: whom `{backend}` signs in, and what it keeps of them, belongs to the plugin \
     `{holder}`; give the backend with `{wanted}` a name of its own, and carry people over: omnigent account \
     migrate --from {backend} --to NAME"
)]
pub struct NameHeld {
    backend: String,
    holder: String,
    wanted: String,
}

/// The names that cannot be given to these plugins.
///
/// # Errors
/// Only of the store.
pub fn held(from: &impl Read, wanted: &[Tenancy]) -> Result<Vec<NameHeld>, StoreError> {
    let mut found = Vec::new();
    for Tenancy { backend, plugin } in wanted {
        if let Some(Tenant { plugin: holder }) = TENANTS.get(from, backend.as_str())?
            && holder != *plugin
            && is_in_use(from, backend)?
        {
            found.push(NameHeld {
                backend: backend.clone(),
                holder,
                wanted: plugin.clone(),
            });
        }
    }
    Ok(found)
}

fn is_in_use(from: &impl Read, backend: &str) -> Result<bool, StoreError> {
    let prefix = IdentityKey::prefix(backend);
    Ok(IDENTITIES.has_any(from, &prefix)?
        || REMNANTS.has_any(from, &prefix)?
        || keeps_anything(from, backend)?)
}

/// Gives the names to these plugins, which [`held`] was asked about.
///
/// # Errors
/// Only of the store.
pub fn give(tx: &mut Tx<'_>, wanted: &[Tenancy]) -> Result<(), StoreError> {
    for tenancy in wanted {
        if !is_given(tx, std::slice::from_ref(tenancy))? {
            let Tenancy { backend, plugin } = tenancy.clone();
            TENANTS.put(tx, backend.as_str(), &Tenant { plugin })?;
        }
    }
    Ok(())
}

/// Whether [`give`] would change anything.
///
/// # Errors
/// Only of the store.
pub fn is_given(from: &impl Read, wanted: &[Tenancy]) -> Result<bool, StoreError> {
    for Tenancy { backend, plugin } in wanted {
        let holder = TENANTS.get(from, backend.as_str())?;
        if holder.is_none_or(|holder| holder.plugin != *plugin) {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use omnigent_plugin::{Change, Identity};

    use super::*;
    use crate::{
        account::{
            AccountError, Remnant, Rules,
            tests::{House, ada},
        },
        backend::apply_change,
    };

    fn tenancy(backend: &str, plugin: &str) -> Vec<Tenancy> {
        vec![Tenancy {
            backend: backend.into(),
            plugin: plugin.into(),
        }]
    }

    impl House {
        fn gives(&self, plugin: &str) {
            let wanted = tenancy("corp", plugin);
            let given = self.write(move |_, tx| Ok(give(tx, &wanted)?));
            given.unwrap();
        }

        fn is_held(&self, backend: &str, plugin: &str) -> bool {
            let held = held(&self.store.reader(), &tenancy(backend, plugin));
            !held.unwrap().is_empty()
        }
    }

    #[test]
    fn a_name_goes_to_no_other_plugin_as_long_as_anything_is_there() {
        type Way = fn(&House);
        let linked: Way = |house| _ = house.admit(Rules::default(), ada(true)).unwrap();
        let kept: Way = |house| {
            let change = Change::new(Identity::new("ada")).insert("ada", b"hash".to_vec());
            house
                .write(move |_, tx| {
                    apply_change(tx, "corp", &change).map_err(|_| AccountError::Collision)
                })
                .unwrap();
        };
        let left: Way = |house| {
            let key = ada(true).key;
            let remnant = Remnant { key: key.clone() };
            house
                .write(move |_, tx| Ok(REMNANTS.put(tx, &key, &remnant)?))
                .unwrap();
        };
        for way in [linked, kept, left] {
            let house = House::new();
            house.gives("accounts");
            assert!(!house.is_held("corp", "ldap"), "nothing is there yet");
            way(&house);
            assert!(house.is_held("corp", "ldap"));
            assert!(!house.is_held("corp", "accounts") && !house.is_held("corp2", "ldap"));
        }
    }

    #[test]
    fn what_was_there_before_plugins_were_noted_is_of_the_next() {
        let house = House::new();
        house.admit(Rules::default(), ada(true)).unwrap();
        assert!(!house.is_held("corp", "ldap"));
        house.gives("ldap");
        assert!(house.is_held("corp", "accounts"));
        let reader = house.store.reader();
        assert_eq!(is_given(&reader, &tenancy("corp", "ldap")), Ok(true));
        assert_eq!(is_given(&reader, &tenancy("corp", "oidc")), Ok(false));
        assert_eq!(is_given(&reader, &tenancy("other", "ldap")), Ok(false));
    }
}
