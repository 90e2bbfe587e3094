//! Tags of any resource, by ARN.

use super::{ActionResult, result};
use crate::rds::control_plane::ControlPlane;
use crate::rds::error::ApiError;
use crate::rds::query::Params;
use crate::rds::render;
use crate::rds::tags;

/// `AddTagsToResource`.
pub fn add(control_plane: &ControlPlane, params: &Params) -> ActionResult {
    let arn = params.required("ResourceName")?;
    let given = tags::read_tags(params)?.ok_or_else(|| ApiError::missing("Tags"))?;
    let mut store = control_plane.store();
    let tags = store.tags_mut(arn)?;
    // On a copy: the limit counts the tags together, and a refused request must add none.
    let mut merged = tags.clone();
    merged.extend(given);
    tags::check_tags(&merged)?;
    *tags = merged;
    Ok(result())
}

/// `RemoveTagsFromResource`.
pub fn remove(control_plane: &ControlPlane, params: &Params) -> ActionResult {
    let arn = params.required("ResourceName")?;
    let keys = params.texts("TagKeys", "member").ok_or_else(|| ApiError::missing("TagKeys"))?;
    control_plane.store().tags_mut(arn)?.retain(|key, _| !keys.contains(key));
    Ok(result())
}

/// `ListTagsForResource`.
pub fn list(control_plane: &ControlPlane, params: &Params) -> ActionResult {
    let arn = params.required("ResourceName")?;
    Ok(render::tags(result(), "TagList", control_plane.store().tags_mut(arn)?))
}
