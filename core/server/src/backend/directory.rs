//! The calls into a backend that keeps people and their passwords.

use omnigent_plugin::{Change, DirectoryError, Entry, Password, contract::Person};
use serde::{Serialize, de::DeserializeOwned};

use super::{CallError, Instance};

impl Instance {
    /// Prepares a new person.
    ///
    /// # Errors
    /// [`CallError::Directory`] with the directory's refusal, or when it cannot tell.
    pub async fn directory_create(
        &self,
        name: &str,
        password: &Password,
    ) -> Result<Change, CallError> {
        self.directory(
            "directory.create",
            name,
            Password::default(),
            password.clone(),
        )
        .await
    }

    /// Prepares a new password on an admin's word.
    ///
    /// # Errors
    /// As [`Instance::directory_create`].
    pub async fn directory_set_password(
        &self,
        subject: &str,
        new: &Password,
    ) -> Result<Change, CallError> {
        self.directory(
            "directory.set_password",
            subject,
            Password::default(),
            new.clone(),
        )
        .await
    }

    /// Prepares a new password on its owner's word.
    ///
    /// # Errors
    /// As [`Instance::directory_create`].
    pub async fn directory_change_password(
        &self,
        subject: &str,
        old: &Password,
        new: &Password,
    ) -> Result<Change, CallError> {
        self.directory(
            "directory.change_password",
            subject,
            old.clone(),
            new.clone(),
        )
        .await
    }

    /// Prepares the removal of a person.
    ///
    /// # Errors
    /// As [`Instance::directory_create`].
    pub async fn directory_remove(&self, subject: &str) -> Result<Change, CallError> {
        self.directory(
            "directory.remove",
            subject,
            Password::default(),
            Password::default(),
        )
        .await
    }

    /// What is known of these people, in their order.
    ///
    /// # Errors
    /// As [`Instance::directory_create`].
    pub async fn directory_describe(&self, subjects: &[String]) -> Result<Vec<Entry>, CallError> {
        if subjects.is_empty() {
            return Ok(Vec::new());
        }
        let entries: Vec<Entry> = self.decided("directory.describe", subjects).await?;
        if entries.len() == subjects.len() {
            Ok(entries)
        } else {
            Err(CallError::garbage(
                "about other people than it was asked about",
            ))
        }
    }

    async fn directory(
        &self,
        method: &str,
        subject: &str,
        old: Password,
        new: Password,
    ) -> Result<Change, CallError> {
        self.decided(
            method,
            &Person {
                subject: subject.to_owned(),
                old,
                new,
            },
        )
        .await
    }

    async fn decided<T: DeserializeOwned>(
        &self,
        method: &str,
        message: &(impl Serialize + ?Sized),
    ) -> Result<T, CallError> {
        let outcome: Result<T, DirectoryError> = self.call(method, message).await?;
        outcome.map_err(CallError::Directory)
    }
}
