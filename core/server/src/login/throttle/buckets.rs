//! Buckets that keys lead to, in memory that is taken when it is first needed.

/// So many buckets. Keys are hashes: as good as random.
pub(super) struct Buckets<T> {
    count: usize,
    /// None until a key has been looked for.
    heads: Vec<Option<Box<T>>>,
}

impl<T: Clone> Buckets<T> {
    pub(super) fn new(count: usize) -> Self {
        Self {
            count: count.max(1),
            heads: Vec::new(),
        }
    }

    /// The bucket of `key`, where there is one.
    pub(super) fn of(&mut self, key: u64) -> &mut Option<Box<T>> {
        if self.heads.is_empty() {
            self.heads = vec![None; self.count];
        }
        // The upper bits of the product are evenly spread over the buckets.
        let at = (u128::from(key) * self.count as u128) >> 64;
        &mut self.heads[at as usize]
    }

    /// Those there are.
    pub(super) fn made(&self) -> impl Iterator<Item = &T> {
        self.heads.iter().flatten().map(|bucket| &**bucket)
    }

    /// As [`Buckets::made`], to change.
    pub(super) fn made_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.heads.iter_mut().flatten().map(|bucket| &mut **bucket)
    }

    /// What all of it takes.
    pub(super) fn bytes(&self) -> usize {
        self.heads.len() * size_of::<Option<Box<T>>>() + self.made().count() * size_of::<T>()
    }
}
