//! What a stored snapshot is read back with at start: its image, and the machine in it. What does not read stops the node.

use serde::de::DeserializeOwned;

use super::RestoreError;
use crate::machine::Machine;

/// The image in a stored snapshot, if it has the `known` format.
pub(super) fn read_image<T: DeserializeOwned>(
    bytes: &[u8],
    format_of: impl Fn(&T) -> u32,
    known: u32,
) -> Result<T, RestoreError> {
    let image = postcard::from_bytes(bytes).map_err(|e| RestoreError(format!("the snapshot cannot be read: {e}")))?;
    let format = format_of(&image);
    if format != known {
        return Err(RestoreError(format!("the snapshot has format {format}, not {known}")));
    }
    Ok(image)
}

/// The machine in an image.
pub(super) fn read_machine(bytes: &[u8]) -> Result<Machine, RestoreError> {
    Machine::restore(bytes).map_err(|e| RestoreError(format!("the machine in the snapshot cannot be read: {e}")))
}
