//! What a backend reads of a request: the call itself, on whatever thread.

use std::sync::Arc;

use abi_stable::std_types::{RBox, RSlice};
use omnigent_plugin::{
    BackendError, Identity, Verdict,
    abi::{BackendObject, CLIENT_CERTIFICATE, FfiHeader, FfiRequest, FfiVerdict, TRUSTED_PROXY},
};

use super::{CallError, Presented, error::tamed};

/// One backend's `identify`, with nothing around it.
pub struct Reader(pub(super) Arc<BackendObject>);

impl Reader {
    /// Who a request is from. May never return.
    ///
    /// # Errors
    /// When the backend cannot tell.
    pub fn read(&self, presented: &Presented<'_>) -> Result<Verdict, CallError> {
        let certificate = presented
            .client_certificate
            .map(|der| FfiHeader::new(CLIENT_CERTIFICATE, der));
        let trusted = presented
            .is_from_trusted_proxy
            .then_some(FfiHeader::new(TRUSTED_PROXY, b"1"));
        let more = match (certificate, trusted) {
            (Some(certificate), Some(trusted)) => &[certificate, trusted] as &[_],
            (Some(one), None) | (None, Some(one)) => &[one],
            (None, None) => &[],
        };
        let verdict = self.0.identify(FfiRequest {
            method: presented.method.into(),
            path: presented.path.into(),
            peer: presented.peer.into(),
            headers: RSlice::from_slice(presented.headers),
            more: RSlice::from_slice(more),
        });
        match verdict {
            FfiVerdict::NotMine => Ok(Verdict::NotMine),
            FfiVerdict::Denied(reason) => Ok(Verdict::Denied(reason.into_string())),
            FfiVerdict::Accepted(identity) => Ok(Verdict::Accepted(Identity::from(
                RBox::into_inner(identity),
            ))),
            FfiVerdict::Failed(error) => Err(serde_json::from_slice::<BackendError>(&error)
                .map_or_else(
                    |_| CallError::garbage("an unreadable failure"),
                    |error| CallError::Backend(tamed(error)),
                )),
        }
    }
}
